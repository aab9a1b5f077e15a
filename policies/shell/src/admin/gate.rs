//! Who may look, and who may change something.

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderValue, Method, header};
use ring::digest::{SHA256, digest};

use super::pages::{FORBIDDEN, Page, UNAUTHORIZED};

/// The rules of the admin pages.
pub struct Gate {
    /// Names by which browsers may reach them, besides addresses and localhost.
    pub hosts: Vec<String>,
    /// What changes need; without one there are none.
    pub token: Option<String>,
}

impl Gate {
    /// Lets a request in, or says why not.
    pub(super) fn admits(&self, head: &Parts) -> Result<(), Page> {
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.is_ours(host) {
            return Err(Page::text(
                FORBIDDEN,
                "this name is not one of ours: use an address, localhost, or --admin-hosts\n",
            ));
        }
        if let Some(origin) = head.headers.get(header::ORIGIN)
            && !is_same(origin, host)
        {
            return Err(Page::text(FORBIDDEN, "a page from elsewhere may not ask\n"));
        }
        // A question may be too long for a URL: it is the one page that is read by a POST.
        let reads = matches!(head.method, Method::GET | Method::HEAD)
            || (head.method == Method::POST && head.uri.path() == "/explain");
        if reads {
            return Ok(());
        }
        let Some(token) = &self.token else {
            return Err(Page::text(
                FORBIDDEN,
                "changes need a token, and none is set: start with --admin-token-file\n",
            ));
        };
        let shown = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match shown.and_then(|shown| shown.strip_prefix("Bearer ")) {
            Some(shown) if is_equal(shown, token) => Ok(()),
            _ => Err(Page::text(UNAUTHORIZED, "changes need `Authorization: Bearer` with the admin token\n")),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let known = self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
        known || bare.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
    }
}

/// RFC 6454: a page's own origin is its scheme, host and port.
fn is_same(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host)
}

/// Compared as digests, so that how long it takes tells nothing of where they differ.
fn is_equal(shown: &str, token: &str) -> bool {
    digest(&SHA256, shown.as_bytes()).as_ref() == digest(&SHA256, token.as_bytes()).as_ref()
}
