//! Whose word is taken, and whose is not.

use super::*;

#[test]
fn nobody_is_believed_by_default() {
    for from in ["127.0.0.1", "10.0.0.1", "192.168.0.1", "::1", "fd00::1"] {
        assert_eq!(Trust::default().believes(&peer(from)), Trusted::No, "{from}");
    }
}

#[test]
fn configured_networks_are_believed() {
    for (from, expected) in [
        ("10.1.2.3", Trusted::Yes),
        ("::ffff:10.1.2.3", Trusted::Yes),
        ("fd00::1", Trusted::Yes),
        ("11.0.0.1", Trusted::No),
        ("::ffff:11.0.0.1", Trusted::No),
        ("::a01:203", Trusted::No),
    ] {
        assert_eq!(trust().believes(&peer(from)), expected, "{from}");
    }
}
