//! Cookies: finding one, joining HTTP/2's crumbs, making the one that keeps a user on one side of a split.

use std::fmt::Write;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use super::Fields;
use crate::request::Secure;

/// The value of the first cookie of this name, in however many Cookie fields. Borrowed, as it was sent: quotes stay.
///
/// Of two cookies with one name the first is taken: browsers send the one with the most specific path first
/// (RFC 6265 §5.4).
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields =
        headers.get_all(header::COOKIE).iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim_ascii() == name).map(|(_, value)| value.trim_ascii())
}

/// Joins several Cookie fields into one. RFC 9113 §8.2.3: before they are passed into anything but HTTP/2, they "MUST
/// be concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20".
pub fn join_crumbs(fields: &mut impl Fields) {
    let crumbs = fields.all().get_all(header::COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let mut joined = Vec::new();
    for crumb in crumbs {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(value) = HeaderValue::try_from(joined) {
        fields.set(header::COOKIE, value);
    }
}

/// A cookie that keeps a caller where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sticky<'a> {
    /// How long it shall last.
    pub max_age: Duration,
    /// Its name.
    pub name: &'a str,
    /// Did the request arrive over TLS? Then the cookie never travels without.
    pub secure: Secure,
    /// Its value.
    pub value: &'a str,
}

/// A cookie that would be read back as something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CookieError {
    /// RFC 6265 §4.1.1 wants a token.
    #[error("a cookie's name is made of letters, digits and !#$%&'*+-.^_`|~")]
    Name,
    /// RFC 6265 §4.1.1 leaves out white space, quotes, commas, semicolons and backslashes.
    #[error("a cookie's value has no spaces, quotes, commas, semicolons, backslashes or bytes outside ASCII")]
    Value,
}

impl Sticky<'_> {
    /// As the value of Set-Cookie.
    pub fn value(&self) -> Result<HeaderValue, CookieError> {
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            return Err(CookieError::Name);
        }
        if !self
            .value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'))
        {
            return Err(CookieError::Value);
        }
        let mut text = format!("{}={}; Path=/; HttpOnly; SameSite=Lax", self.name, self.value);
        // Writing to a String cannot fail.
        let _ = write!(text, "; Max-Age={}", self.max_age.as_secs());
        if self.secure == Secure::Tls {
            text.push_str("; Secure");
        }
        HeaderValue::try_from(text).map_err(|_| CookieError::Value)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
