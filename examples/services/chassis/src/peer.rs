//! Calls to another service. They go to the own sidecar, which knows where the other is, how often to try, how long to
//! wait and when to stop asking. So nothing of that is here: an app forwards the trace, and that is all.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use opentelemetry::propagation::Injector;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::failure::FailureBody;
use crate::settings::{Settings, SettingsError};

/// The sidecar ends a call at its deadline. This is for the day when the sidecar itself does not.
const NEVER_LONGER: Duration = Duration::from_secs(15);
/// An answer larger than this is not one of ours.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Another service.
#[derive(Clone, Debug)]
pub struct Peer {
    name: &'static str,
    url: String,
    client: reqwest::Client,
}

/// A call that did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    /// It does not answer, or not now: nobody knows whether it was done. Ask again later, with the same key.
    #[error("{peer} does not answer: {why}")]
    Away {
        /// Who.
        peer: &'static str,
        /// What was seen.
        why: String,
    },
    /// It understood, and says no.
    #[error("{peer} says {status} {}: {}", body.error, body.message)]
    Refused {
        /// Who.
        peer: &'static str,
        /// The status.
        status: StatusCode,
        /// What it says.
        body: Box<FailureBody>,
    },
    /// It said what nobody understands.
    #[error("{peer} answered what cannot be read: {why}")]
    Nonsense {
        /// Who.
        peer: &'static str,
        /// What was seen.
        why: String,
    },
}

impl Peer {
    /// The service of this name, at `<NAME>_URL`.
    pub fn of(settings: &Settings, name: &'static str) -> Result<Self, SettingsError> {
        let url = settings.required(&format!("{}_URL", name.to_uppercase()))?;
        Ok(Self::at(name, url))
    }

    /// The service of this name, at this address.
    pub fn at(name: &'static str, url: &str) -> Self {
        let client = reqwest::Client::builder().timeout(NEVER_LONGER).build().unwrap_or_default();
        Self { name, url: url.trim_end_matches('/').to_owned(), client }
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Call {
        self.call(&Method::GET, path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> Call {
        self.call(&Method::POST, path)
    }

    fn call(&self, method: &Method, path: &str) -> Call {
        let request = self.client.request(method.clone(), format!("{}{path}", self.url));
        Call { peer: self.name, name: format!("{method} {}", self.name), request }
    }
}

/// A call that is being put together.
#[derive(Debug)]
pub struct Call {
    peer: &'static str,
    name: String,
    request: reqwest::RequestBuilder,
}

impl Call {
    /// With this body.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// With these parameters after the question mark.
    pub fn query(mut self, parameters: &[(&str, &str)]) -> Self {
        self.request = self.request.query(parameters);
        self
    }

    /// With the key that makes doing it twice the same as doing it once; the sidecar may then try again.
    pub fn key(mut self, key: &str) -> Self {
        self.request = self.request.header("idempotency-key", key);
        self
    }

    /// With this header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends it, and reads the answer.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, CallFailed> {
        let peer = self.peer;
        let (_, body) = self.send_bytes().await?;
        serde_json::from_slice(&body).map_err(|error| CallFailed::Nonsense { peer, why: error.to_string() })
    }

    /// Sends it, when the answer has nothing to say.
    pub async fn send_empty(self) -> Result<(), CallFailed> {
        self.send_bytes().await.map(|_| ())
    }

    async fn send_bytes(self) -> Result<(StatusCode, Vec<u8>), CallFailed> {
        let span = tracing::info_span!(
            "call",
            otel.name = self.name,
            otel.kind = "client",
            peer.service = self.peer,
            http.response.status_code = tracing::field::Empty
        );
        let headers = trace_headers(&span);
        let peer = self.peer;
        let answered = exchange(peer, self.request.headers(headers)).instrument(span.clone()).await;
        match &answered {
            Ok((status, _)) | Err(CallFailed::Refused { status, .. }) => {
                span.record("http.response.status_code", status.as_u16());
            }
            Err(failed) => tracing::info!(parent: &span, %failed, "no answer"),
        }
        answered
    }
}

/// The trace, and nothing else, goes on from a request to the calls made for it.
fn trace_headers(span: &tracing::Span) -> HeaderMap {
    struct Into<'h>(&'h mut HeaderMap);
    impl Injector for Into<'_> {
        fn set(&mut self, name: &str, value: String) {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                self.0.insert(name, value);
            }
        }
    }
    let mut headers = HeaderMap::new();
    let context = span.context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Into(&mut headers));
    });
    headers
}

async fn exchange(
    peer: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<(StatusCode, Vec<u8>), CallFailed> {
    let away = |error: &reqwest::Error| CallFailed::Away { peer, why: told(error) };
    let mut response = request.send().await.map_err(|error| away(&error))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| away(&error))? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(CallFailed::Nonsense { peer, why: "the answer has no end".to_owned() });
        }
    }
    if status.is_success() {
        return Ok((status, body));
    }
    let not_now = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if status.is_server_error() || not_now {
        return Err(CallFailed::Away { peer, why: format!("{status} {}", excerpt(&body)) });
    }
    match serde_json::from_slice(&body) {
        Ok(told) => Err(CallFailed::Refused { peer, status, body: Box::new(told) }),
        Err(_) => Err(CallFailed::Nonsense { peer, why: format!("{status} {}", excerpt(&body)) }),
    }
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(200).collect()
}

/// An error of the client, with its causes.
fn told(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}
