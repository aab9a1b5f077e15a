//! What follows an answer's body. A recipient may put it among the fields of the head, so nothing may stand in it that
//! decides where a message ends, where it goes, or what may be done with it. RFC 9110 §6.5.1.

use http::header::{self, HeaderName};

use super::names::{is_hop_by_hop, is_ours};
use super::{Fields, remove_where};

/// What a head says of its message: too late when the body has gone by.
static OF_THE_HEAD: [HeaderName; 20] = [
    header::ACCEPT_RANGES,
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::DATE,
    header::EXPIRES,
    header::HOST,
    header::LOCATION,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::VARY,
    header::WARNING,
    header::WWW_AUTHENTICATE,
];

/// Leaves in what may follow an answer.
pub fn strip(fields: &mut impl Fields) {
    remove_where(fields, |name| {
        is_hop_by_hop(name)
            || OF_THE_HEAD.contains(name)
            || is_ours(name)
            || name.as_str().starts_with("access-control-")
    });
}
