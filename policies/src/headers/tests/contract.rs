//! What gateway and sidecars tell each other.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::request::Priority;

const MADE: &str = "00000000-0000-4000-8000-00000000002a";

fn read(headers: &str, trusted: Trusted) -> Carried {
    Carried::read(&block(headers), trusted, 42)
}

fn nothing() -> Carried {
    read("", Trusted::Yes)
}

#[test]
fn cve_2023_27487_a_stranger_is_believed_nothing() {
    let forged = "x-request-id: a\nx-banyan-deadline: 5\nx-banyan-priority: critical\nx-banyan-attempt: 2\nx-banyan-shadow: 1";
    let carried = read(forged, Trusted::No);
    assert_eq!(carried, nothing());
    assert_eq!(carried.request_id.as_str(), MADE);
    let mut headers =
        block(&format!("{forged}\nx-banyan-unknown: 1\nx_banyan_shadow: 1\nx_request_id: b\naccept: c"));
    carried.write(&mut headers);
    assert_eq!(text(&headers), format!("accept: c\nx-request-id: {MADE}"));
}

#[test]
fn a_trusted_peer_is_believed_what_is_well_formed() {
    let none = nothing();
    for (headers, expected) in [
        ("x-request-id: a.B_9-z", Carried { request_id: id("a.B_9-z").unwrap(), ..none.clone() }),
        ("x-request-id: a b", none.clone()),
        ("x-request-id: a\nx-request-id: b", none.clone()),
        (
            "x-banyan-deadline: 1500",
            Carried { deadline_left: Some(Duration::from_millis(1500)), ..none.clone() },
        ),
        ("x-banyan-deadline: 0", Carried { deadline_left: Some(Duration::ZERO), ..none.clone() }),
        ("x-banyan-deadline: 1000000000", none.clone()),
        ("x-banyan-deadline: -1", none.clone()),
        ("x-banyan-deadline: +1", none.clone()),
        ("x-banyan-deadline: 5s", none.clone()),
        ("x-banyan-deadline:", none.clone()),
        ("x-banyan-deadline: 5\nx-banyan-deadline: 6", none.clone()),
        ("x-banyan-attempt: 3", Carried { attempt: Some(3), ..none.clone() }),
        ("x-banyan-attempt: 1000", none.clone()),
        ("x-banyan-priority: sheddable", Carried { priority: Some(Priority::Sheddable), ..none.clone() }),
        ("x-banyan-priority: Critical", none.clone()),
        ("x-banyan-shadow: 1", Carried { shadow: Shadow::Yes, ..none.clone() }),
        ("x-banyan-shadow: yes", none.clone()),
    ] {
        assert_eq!(read(headers, Trusted::Yes), expected, "{headers}");
    }
}

fn id(text: &str) -> Option<RequestId> {
    HeaderValue::from_bytes(text.as_bytes()).ok().as_ref().and_then(RequestId::parse)
}

#[test]
fn request_ids_are_short_and_plain() {
    assert_eq!(id("Az09._-").unwrap().as_str(), "Az09._-");
    for bad in ["", "a b", "a/b", "é", "a,b", "a\"b", &"a".repeat(129)] {
        assert_eq!(id(bad), None, "{bad}");
    }
    assert!(id(&"a".repeat(128)).is_some());
}

#[test]
fn made_ids_look_like_uuids() {
    let made = |random| RequestId::made_from(random).to_string();
    assert_eq!(made(0), "00000000-0000-4000-8000-000000000000");
    assert_eq!(made(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_eq!(made(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-4def-8123-456789abcdef");
    assert_eq!(id(&made(7)).unwrap().as_str(), made(7));
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(
        attempt in prop::option::of(0u32..1000),
        millis in prop::option::of(0u64..1_000_000_000),
        priority in prop::option::of(prop::sample::select(vec![Priority::Critical, Priority::Normal, Priority::Sheddable])),
        shadow in prop::sample::select(vec![Shadow::No, Shadow::Yes]),
        random in any::<u128>(),
    ) {
        let carried = Carried {
            attempt,
            deadline_left: millis.map(Duration::from_millis),
            priority,
            request_id: RequestId::made_from(random),
            shadow,
        };
        let mut headers = block("x-banyan-attempt: 9\nx-banyan-deadline: 9\nx-banyan-priority: normal\nx-banyan-shadow: 1");
        carried.write(&mut headers);
        prop_assert_eq!(Carried::read(&headers, Trusted::Yes, 0), carried);
    }
}

#[test]
fn a_deadline_beyond_reach_is_cut_to_what_can_be_said() {
    let mut headers = HeaderMap::new();
    Carried { deadline_left: Some(Duration::MAX), ..nothing() }.write(&mut headers);
    assert_eq!(headers["x-banyan-deadline"], "999999999");
}

#[test]
fn an_attempt_beyond_reach_is_cut_to_what_can_be_said() {
    let mut headers = HeaderMap::new();
    Carried { attempt: Some(u32::MAX), ..nothing() }.write(&mut headers);
    assert_eq!(headers["x-banyan-attempt"], "999");
}
