//! Which web pages of other origins may call: the Fetch standard's CORS protocol, server side.
//!
//! Preflights are answered here and never reach a target. A page that may not call gets an answer without the
//! headers its browser asks for; the request itself is not refused, because CORS protects the visitor's browser, not
//! the service: other clients send no `Origin` and nobody stops them.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::headers::Fields;
use crate::verdict::Denial;
use crate::why::Witness;

/// A preflight names at most so many bytes of headers; browsers send a few hundred.
const ASKED_HEADERS_MAX: usize = 4096;

/// The rule of one route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cors {
    /// The origins that may call.
    pub origins: Vec<Origin>,
    /// The methods they may use; none listed means the one that is asked for.
    pub methods: Vec<Method>,
    /// The header fields they may send; `None` means those that are asked for.
    pub headers: Option<Vec<HeaderName>>,
    /// The header fields they may read.
    pub expose: Vec<HeaderName>,
    /// May they send cookies?
    pub credentials: Credentials,
    /// How long a browser remembers, in seconds.
    pub max_age_secs: u64,
}

/// May a page send cookies?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Credentials {
    /// Yes.
    Allowed,
    /// No.
    Refused,
}

/// An origin that may call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Every page.
    Any,
    /// This one, as `scheme://host:port` in lower case.
    Exact(String),
    /// Every host below, as `https://` and `.shop.example`.
    Below {
        /// With `://`.
        scheme: String,
        /// With the dot before it.
        suffix: String,
    },
}

impl Origin {
    /// Reads `*`, `https://shop.example` or `https://*.shop.example`.
    pub fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.split_once("://*.") {
            _ if text == "*" => Self::Any,
            Some((scheme, host)) => {
                Self::Below { scheme: format!("{scheme}://"), suffix: format!(".{host}") }
            }
            None => Self::Exact(text),
        }
    }

    fn is(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Below { scheme, suffix } => origin
                .strip_prefix(scheme.as_str())
                .and_then(|host| host.strip_suffix(suffix.as_str()))
                .is_some_and(|label| {
                    !label.is_empty() && !label.starts_with('.') && !label.contains(['/', '@'])
                }),
        }
    }
}

/// Is this request a preflight: an OPTIONS that a browser sends before the real one?
pub fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The method the page wants to use, to find the route the real request will take.
pub fn wanted_method(head: &Parts) -> Option<Method> {
    Method::from_bytes(head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

impl Cors {
    /// Answers a preflight: the fields of a 204, or why not.
    pub fn preflight(&self, head: &Parts, why: &mut impl Witness) -> Result<HeaderMap, Denial> {
        let asked = &head.headers;
        let mut answer = HeaderMap::new();
        self.vouch(asked, &mut answer);
        let method =
            wanted_method(head).filter(|method| self.methods.is_empty() || self.methods.contains(method));
        let Some(method) = method.filter(|_| answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)) else {
            why.note("cors", || "this origin, or this method, may not call".to_owned());
            return Err(Denial::CorsDenied);
        };
        let methods: Vec<&str> = match self.methods.as_slice() {
            [] => vec![method.as_str()],
            listed => listed.iter().map(Method::as_str).collect(),
        };
        put(&mut answer, ACCESS_CONTROL_ALLOW_METHODS, &methods.join(", "));
        match (&self.headers, asked.get(ACCESS_CONTROL_REQUEST_HEADERS)) {
            (Some(listed), _) => put(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, &joined(listed)),
            (None, Some(wanted)) if wanted.len() <= ASKED_HEADERS_MAX => {
                answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            }
            (None, _) => {}
        }
        put(&mut answer, ACCESS_CONTROL_MAX_AGE, &self.max_age_secs.to_string());
        answer.append(
            VARY,
            HeaderValue::from_static("access-control-request-method, access-control-request-headers"),
        );
        why.note("cors", || "the preflight is answered here".to_owned());
        Ok(answer)
    }

    /// Adds to an answer what lets the calling page read it, after removing what the target may have said itself.
    pub fn vouch(&self, asked: &HeaderMap, answer: &mut impl Fields) {
        for name in
            [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS]
        {
            answer.remove(&name);
        }
        // The answer depends on who asks even where nobody is let in: a cache must not mix the two up.
        answer.append(VARY, HeaderValue::from_static("origin"));
        let Some(value) = asked.get(ORIGIN) else { return };
        let origin = value.to_str().unwrap_or_default().to_ascii_lowercase();
        if !self.origins.iter().any(|allowed| allowed.is(&origin)) {
            return;
        }
        answer.set(ACCESS_CONTROL_ALLOW_ORIGIN, value.clone());
        if self.credentials == Credentials::Allowed {
            answer.set(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if !self.expose.is_empty()
            && let Ok(names) = HeaderValue::from_str(&joined(&self.expose))
        {
            answer.set(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
}

fn joined(names: &[HeaderName]) -> String {
    names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ")
}

fn put(answer: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        answer.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::Silent;

    fn rule() -> Cors {
        Cors {
            origins: vec![Origin::parse("https://shop.example"), Origin::parse("https://*.Shop.example")],
            methods: vec![Method::GET, Method::POST],
            headers: None,
            expose: vec![HeaderName::from_static("x-total")],
            credentials: Credentials::Allowed,
            max_age_secs: 600,
        }
    }

    fn preflight(origin: &str, method: &str) -> Parts {
        let request = http::Request::builder().method("OPTIONS").uri("/orders").header("origin", origin);
        let request = request.header("access-control-request-method", method);
        request.header("access-control-request-headers", "x-a, content-type").body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_page_of_an_allowed_origin_is_told_so() {
        let answer = rule().preflight(&preflight("https://shop.example", "POST"), &mut Silent).unwrap();
        assert_eq!(answer["access-control-allow-origin"], "https://shop.example");
        assert_eq!(answer["access-control-allow-methods"], "GET, POST");
        assert_eq!(answer["access-control-allow-headers"], "x-a, content-type");
        assert_eq!(answer["access-control-allow-credentials"], "true");
        assert_eq!(answer["access-control-max-age"], "600");
    }

    #[test]
    fn origins_are_compared_whole() {
        for (origin, allowed) in [
            ("https://shop.example", true),
            ("https://www.shop.example", true),
            ("https://a.b.shop.example", true),
            ("http://shop.example", false),
            ("https://shop.example.evil.example", false),
            ("https://evilshop.example", false),
            ("https://.shop.example", false),
            ("https://shop.example:8443", false),
            ("null", false),
        ] {
            let verdict = rule().preflight(&preflight(origin, "GET"), &mut Silent);
            assert_eq!(verdict.is_ok(), allowed, "{origin}");
        }
    }

    #[test]
    fn a_method_that_is_not_listed_is_refused() {
        let verdict = rule().preflight(&preflight("https://shop.example", "DELETE"), &mut Silent);
        assert_eq!(verdict, Err(Denial::CorsDenied));
    }

    #[test]
    fn a_target_cannot_widen_the_rule() {
        let mut answer = HeaderMap::new();
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        rule().vouch(&preflight("https://evil.example", "GET").headers, &mut answer);
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(answer["vary"], "origin");
    }
}
