//! gRPC's deadline, both ways.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::headers::grpc::{set_timeout, timeout};

#[test]
fn timeouts_are_read_in_every_unit() {
    for (value, expected) in [
        ("1H", Some(Duration::from_secs(3600))),
        ("2M", Some(Duration::from_secs(120))),
        ("3S", Some(Duration::from_secs(3))),
        ("4m", Some(Duration::from_millis(4))),
        ("5u", Some(Duration::from_micros(5))),
        ("6n", Some(Duration::from_nanos(6))),
        ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
        ("100000000n", None),
        ("S", None),
        ("1", None),
        ("+1S", None),
        ("1 S", None),
        ("1s", None),
        ("1µ", None),
        ("", None),
    ] {
        assert_eq!(timeout(&block(&format!("grpc-timeout: {value}"))), expected, "{value}");
    }
    assert_eq!(timeout(&block("grpc-timeout: 1S\ngrpc-timeout: 2S")), None);
    assert_eq!(timeout(&HeaderMap::new()), None);
}

#[test]
fn timeouts_are_written_in_the_finest_unit_with_room() {
    for (left, expected) in [
        (Duration::ZERO, "0n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_millis(100), "100000u"),
        (Duration::from_secs(3), "3000000u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::MAX, "99999999H"),
    ] {
        let mut headers = block("grpc-timeout: 9H");
        set_timeout(&mut headers, left);
        assert_eq!(headers["grpc-timeout"], expected);
    }
}

proptest! {
    #[test]
    fn a_written_timeout_is_never_longer(nanos in any::<u64>()) {
        let (left, mut headers) = (Duration::from_nanos(nanos), HeaderMap::new());
        set_timeout(&mut headers, left);
        let read = timeout(&headers).unwrap();
        // Just beyond what fits as milliseconds there are 100,000 whole seconds: a hundred-thousandth is lost at most.
        prop_assert!(read <= left && read >= left.mul_f64(0.999_98));
    }
}
