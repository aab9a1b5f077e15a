//! What callers are told about limits.

use std::time::Duration;

use super::*;
use crate::headers::limits::{Standing, set_retry_after, set_standings};

#[test]
fn retry_after_is_rounded_up() {
    for (wait, expected) in [
        (Duration::ZERO, "0"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_secs(2), "2"),
        (Duration::from_millis(2001), "3"),
        (Duration::MAX, "999999999999999"),
    ] {
        let mut headers = HeaderMap::new();
        set_retry_after(&mut headers, wait);
        assert_eq!(headers["retry-after"], expected);
    }
}

#[test]
fn standings_are_structured_fields() {
    let burst = Standing {
        policy: "per \"user\"",
        quota: 200,
        remaining: 50,
        reset: Duration::from_millis(1500),
        window: Duration::from_secs(2),
    };
    let daily =
        Standing { policy: "daily\\ü", quota: u64::MAX, remaining: 0, reset: Duration::ZERO, ..burst };
    let mut headers = block("ratelimit: of the service");
    set_standings(&mut headers, &[burst, daily]);
    let expected = "ratelimit-policy: \"per \\\"user\\\"\";q=200;w=2, \"daily\\\\?\";q=999999999999999;w=2\n\
                    ratelimit: \"per \\\"user\\\"\";r=50;t=2, \"daily\\\\?\";r=0;t=0";
    assert_eq!(text(&headers), sorted(expected));
    let mut none = HeaderMap::new();
    set_standings(&mut none, &[]);
    assert!(none.is_empty());
}
