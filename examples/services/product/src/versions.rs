//! Versions of answers (RFC 9110 section 8.8.3): who has one is told when it is still good, and who changes a product
//! says which one they have seen.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::Failure;
use serde::Serialize;

/// How long an answer may be kept by whoever is on the way.
#[derive(Clone, Copy)]
pub(crate) enum Keep {
    /// Not without asking whether it is still good: an order is made of these prices.
    AskFirst,
    /// Some seconds: a price that was just changed may be seen late by somebody who only looks.
    Seconds,
}

/// The tag of the product's version.
pub(crate) fn of_product(version: i64) -> String {
    format!("\"v{version}\"")
}

/// The tag of everything, after so many changes. A list is the same as long as nothing has changed; it is read before the
/// list is, so that a change in between makes the tag too old and never too new.
pub(crate) fn of_catalogue(revision: i64) -> String {
    format!("\"r{revision}\"")
}

/// Has the caller this version already?
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, &header::IF_NONE_MATCH).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// 304: what the caller has is still good.
pub(crate) fn unchanged(tag: String, keep: Keep) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, keep.told())]).into_response()
}

/// 200, with its version.
pub(crate) fn tagged(tag: String, keep: Keep, body: impl Serialize) -> Response {
    ([(header::ETAG, tag), (header::CACHE_CONTROL, keep.told())], Json(body)).into_response()
}

/// Which version does the caller mean to change? 428 if they do not say: they might undo what they have never seen.
pub(crate) fn asked_for(headers: &HeaderMap) -> Result<Vec<String>, Failure> {
    let tags: Vec<_> = tags(headers, &header::IF_MATCH).map(str::to_owned).collect();
    if tags.is_empty() {
        let why = "say by If-Match which version you have seen; its ETag came with the GET";
        return Err(Failure::new(StatusCode::PRECONDITION_REQUIRED, "version_required", why));
    }
    Ok(tags)
}

/// Is this version among those? A weak tag never is (section 13.1.1).
pub(crate) fn is_among(tags: &[String], version: i64) -> bool {
    let tag = of_product(version);
    tags.iter().any(|asked| *asked == "*" || *asked == tag)
}

/// None of our tags has a comma in it, so a comma is between two.
fn tags<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|tag| !tag.is_empty())
}

impl Keep {
    fn told(self) -> String {
        match self {
            Self::AskFirst => "no-cache".to_owned(),
            Self::Seconds => "public, max-age=10".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{asked_for, is_among, is_known};

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn who_reads_may_be_vague_and_who_writes_may_not() {
        for (value, known, mine) in [
            ("\"v3\"", true, true),
            ("\"v2\", \"v3\"", true, true),
            ("*", true, true),
            ("W/\"v3\"", true, false),
            ("\"v2\"", false, false),
            ("v3", false, false),
        ] {
            assert_eq!(is_known(&headers(header::IF_NONE_MATCH, value), "\"v3\""), known, "{value}");
            let asked = asked_for(&headers(header::IF_MATCH, value)).unwrap();
            assert_eq!(is_among(&asked, 3), mine, "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"v3\""));
        assert_eq!(asked_for(&HeaderMap::new()).err().unwrap().status(), 428);
    }
}
