//! What may follow an answer's body.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::headers::trailers::strip;

#[test]
fn what_tells_of_the_body_stays_and_what_a_head_decides_goes() {
    let mut fields = HeaderMap::new();
    for name in [
        "access-control-allow-origin",
        "checksum",
        "connection",
        "content-length",
        "grpc-message",
        "grpc-status",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "x-banyan-tried",
        "x_banyan_tried",
    ] {
        fields.insert(name, HeaderValue::from_static("a"));
    }
    strip(&mut fields);
    let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["checksum", "grpc-message", "grpc-status"]);
}
