//! Trace Context: each row is a request to a proxy, and what the proxy must send on.

use super::*;

/// Does the trace go on, and with which flags and state?
fn check(fields: &[(&str, &str)], goes_on: Option<(&str, Option<&str>)>) {
    let sent = sent_on(fields);
    let parent = field(&sent, "traceparent").unwrap();
    let (trace, flags, state) = match goes_on {
        Some((flags, state)) => ("12345678901234567890123456789012", flags, state),
        None => ("0000000000000000000000000000aaaa", "02", None),
    };
    assert_eq!(parent, format!("00-{trace}-000000000000cccc-{flags}"), "{fields:?}");
    assert_eq!(field(&sent, "tracestate"), state, "{fields:?}");
}

fn check_parent(value: &str, flags: Option<&str>) {
    check(&[("traceparent", value)], flags.map(|flags| (flags, None)));
    // What does not go on takes its state with it.
    let state = flags.map(|flags| (flags, Some("foo=1")));
    check(&[("traceparent", value), ("tracestate", "foo=1")], state);
}

fn check_state(fields: &[&str], state: Option<&str>) {
    let states = fields.iter().map(|value| ("tracestate", *value));
    let all: Vec<_> = [("traceparent", GOOD)].into_iter().chain(states).collect();
    check(&all, Some(("01", state)));
}

#[test]
fn both_fields_missing_begins_a_trace() {
    check(&[], None);
}

#[test]
fn traceparent_included_tracestate_missing() {
    check_parent(GOOD, Some("01"));
}

#[test]
fn tracestate_without_traceparent_is_discarded() {
    check(&[("tracestate", "foo=1")], None);
    check(&[("tracestate", "foo=1,bar=2")], None);
}

#[test]
fn traceparent_sent_twice_begins_a_trace() {
    let other = "00-12345678901234567890123456789013-1234567890123456-01";
    check(&[("traceparent", GOOD), ("traceparent", other), ("tracestate", "foo=1")], None);
    check(&[("traceparent", GOOD), ("traceparent", GOOD)], None);
    check_parent(&format!("{GOOD},{other}"), None);
}

#[test]
fn the_name_of_the_field_is_case_blind_and_has_no_other_spelling() {
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        check(&[(name, GOOD)], Some(("01", None)));
    }
    for name in ["trace-parent", "trace.parent"] {
        check(&[(name, GOOD)], None);
    }
    for name in ["TraceState", "TRACESTATE"] {
        check(&[("traceparent", GOOD), (name, "foo=1")], Some(("01", Some("foo=1"))));
    }
    for name in ["trace-state", "trace.state"] {
        check(&[("traceparent", GOOD), (name, "foo=1")], Some(("01", None)));
    }
}

#[test]
fn traceparent_version() {
    const FIELDS: &str = "12345678901234567890123456789012-1234567890123456";
    for (value, flags) in [
        ("00-{}-01", Some("01")),
        ("00-{}-01.", None),
        ("00-{}-01-what-the-future-will-be-like", None),
        ("cc-{}-01", Some("01")),
        ("cc-{}-01-what-the-future-will-be-like", Some("01")),
        ("cc-{}-01-", Some("01")),
        ("cc-{}-01.what-the-future-will-be-like", None),
        ("cc-{}-0", None),
        ("ff-{}-01", None),
        ("fe-{}-01", Some("01")),
        (".0-{}-01", None),
        ("0.-{}-01", None),
        ("CC-{}-01", None),
        ("0-{}-01", None),
        ("000-{}-01", None),
        ("0000-{}-01", None),
        ("{}-01", None),
        ("-{}-01", None),
        ("", None),
    ] {
        check_parent(&value.replace("{}", FIELDS), flags);
    }
}

#[test]
fn traceparent_trace_id() {
    for trace in [
        "00000000000000000000000000000000",
        ".2345678901234567890123456789012",
        "1234567890123456789012345678901.",
        "123456789012345678901234567890123",
        "123456789012345678901234567890",
        "1234567890123456789012345678901",
        "ABCDEF78901234567890123456789012",
        "+2345678901234567890123456789012",
        "",
    ] {
        check_parent(&format!("00-{trace}-1234567890123456-01"), None);
        check_parent(&format!("cc-{trace}-1234567890123456-01"), None);
    }
}

#[test]
fn traceparent_parent_id() {
    for parent in [
        "0000000000000000",
        ".234567890123456",
        "123456789012345.",
        "12345678901234567",
        "123456789012345",
        "ABCDEF7890123456",
        "",
    ] {
        check_parent(&format!("00-12345678901234567890123456789012-{parent}-01"), None);
        check_parent(&format!("cc-12345678901234567890123456789012-{parent}-01"), None);
    }
}

#[test]
fn traceparent_flags() {
    for (flags, expected) in [
        ("00", Some("00")),
        ("01", Some("01")),
        ("02", Some("02")),
        ("03", Some("03")),
        ("ff", Some("03")),
        ("fc", Some("00")),
        (".0", None),
        ("0.", None),
        ("001", None),
        ("1", None),
        ("FF", None),
        ("", None),
    ] {
        check_parent(&format!("00-12345678901234567890123456789012-1234567890123456-{flags}"), expected);
    }
}

#[test]
fn white_space_around_traceparent_is_not_part_of_it() {
    for value in [
        format!(" {GOOD}"),
        format!("\t{GOOD}"),
        format!("{GOOD} "),
        format!("{GOOD}\t"),
        format!("\t {GOOD} \t"),
    ] {
        check_parent(&value, Some("01"));
    }
    check_parent(&GOOD.replace('-', " - "), None);
}

#[test]
fn tracestate_in_one_field_or_several_is_one_list() {
    for (fields, state) in [
        (&["foo=1"][..], Some("foo=1")),
        (&["foo=1,bar=2"], Some("foo=1,bar=2")),
        (&["foo=1", "bar=2"], Some("foo=1,bar=2")),
        (&["foo=1", "bar=2,baz=3"], Some("foo=1,bar=2,baz=3")),
        (&["foo=1", "", "bar=2"], Some("foo=1,bar=2")),
        (&["", "foo=1", ""], Some("foo=1")),
        (&["foo=1,", ",bar=2"], Some("foo=1,bar=2")),
    ] {
        check_state(fields, state);
    }
}

#[test]
fn empty_members_and_white_space_are_tolerated() {
    for (value, state) in [
        ("", None),
        (" ", None),
        (",", None),
        (" ,\t, ", None),
        ("foo=1,,bar=2", Some("foo=1,bar=2")),
        ("foo=1,", Some("foo=1")),
        (" foo=1", Some("foo=1")),
        ("foo=1 \t , \t bar=2, \t baz=3", Some("foo=1,bar=2,baz=3")),
        ("foo=1\t \t,\t \tbar=2,\t \tbaz=3", Some("foo=1,bar=2,baz=3")),
        ("foo= 1", Some("foo= 1")),
        ("foo= 1 2 ", Some("foo= 1 2")),
    ] {
        check_state(&[value], state);
    }
}

#[test]
fn tracestate_keys() {
    let long = |front: &str, count: usize, back: &str| format!("{}{back}=1", front.repeat(count));
    for (value, fine) in [
        ("foo=1".to_owned(), true),
        ("0foo=1".to_owned(), true),
        ("foo-_*/bar=1".to_owned(), true),
        ("0123456789abcdefghijklmnopqrstuvwxyz_-*/=1".to_owned(), true),
        ("0tenant_-*/@s0_-*/=1".to_owned(), true),
        (long("z", 256, ""), true),
        (long("z", 257, ""), false),
        (long("t", 241, "@vvvvvvvvvvvvvv"), true),
        (long("t", 242, "@v"), true),
        (long("t", 241, "@vvvvvvvvvvvvvvv"), false),
        ("foo =1".to_owned(), false),
        ("FOO=1".to_owned(), false),
        ("foo.bar=1".to_owned(), false),
        ("_foo=1".to_owned(), false),
        ("foo@=1".to_owned(), true),
        ("@foo=1".to_owned(), false),
        ("foo@@bar=1".to_owned(), true),
        ("foo@bar@baz=1".to_owned(), true),
        ("foo@0bar=1".to_owned(), true),
        ("=1".to_owned(), false),
        ("foo".to_owned(), false),
    ] {
        check_state(&[&value], fine.then_some(&value));
        // One bad member voids the whole list.
        let list = format!("{value},bar=2");
        check_state(&[&list], fine.then_some(&list));
    }
}

#[test]
fn tracestate_values() {
    let printable: String = (0x21..=0x7e_u8).map(char::from).filter(|c| !",=".contains(*c)).collect();
    let (long, too_long) = ("1".repeat(256), "1".repeat(257));
    for (value, fine) in [
        ("bar", true),
        (" bar", true),
        ("a b", true),
        (&printable, true),
        (&long, true),
        (&too_long, false),
        ("", false),
        ("bar=baz", false),
        ("=", false),
        ("bar\tbaz", false),
        ("é", false),
    ] {
        let member = format!("foo={value}");
        check_state(&[&member], fine.then_some(&member));
    }
}

#[test]
fn of_a_key_that_occurs_twice_the_first_is_kept() {
    check_state(&["foo=1,foo=1"], Some("foo=1"));
    check_state(&["foo=1,foo=2"], Some("foo=1"));
    check_state(&["foo=1", "bar=2", "foo=1"], Some("foo=1,bar=2"));
}

#[test]
fn thirty_two_members_are_the_most() {
    let members = |count: u32| (1..=count).map(|n| format!("bar{n:02}={n:02}")).collect::<Vec<_>>().join(",");
    check_state(&[&members(32)], Some(&members(32)));
    check_state(&[&members(32), "", ","], Some(&members(32)));
    check_state(&[&members(33)], None);
    check_state(&[&members(32), "foo=1"], None);
}

/// Reliability §2 row 58: a huge tracestate is cut by whole members, but never below 512 characters.
#[test]
fn a_tracestate_over_the_limit_is_cut_by_whole_members() {
    let member = |key: &str, bytes: usize| format!("{key}={}", "v".repeat(bytes - key.len() - 1));
    let join = |members: &[String]| members.join(",");
    let kilobyte: Vec<_> = (0..8).map(|n| member(&format!("k{n}"), 127)).collect();
    assert_eq!(join(&kilobyte).len(), 1023);
    check_state(&[&join(&kilobyte)], Some(&join(&kilobyte)));

    // Short ones only: the end goes.
    let short: Vec<_> = (0..10).map(|n| member(&format!("k{n}"), 127)).collect();
    check_state(&[&join(&short)], Some(&join(&short[..8])));

    // The longest of the long ones goes first, wherever it stands; short ones stay.
    let [long, longest] = [member("long", 129), member("longest", 250)];
    let mixed = [&[long.clone(), longest][..], &kilobyte[..6]].concat();
    check_state(&[&join(&mixed)], Some(&join(&[&[long][..], &kilobyte[..6]].concat())));

    // All long, all the same: the last goes.
    let all_long: Vec<_> = (0..32).map(|n| member(&format!("k{n}"), 250)).collect();
    check_state(&[&join(&all_long)], Some(&join(&all_long[..4])));
}

#[test]
fn our_own_member_goes_to_the_front() {
    let state = |value: &str| match extract(&[("traceparent", GOOD), ("tracestate", value)], Caller::Believed)
    {
        Some(Incoming::Context { context, .. }) => context.state,
        other => panic!("{other:?}"),
    };
    for (before, value, after) in [
        ("", "1", "banyan=1"),
        ("foo=1,bar=2", "1", "banyan=1,foo=1,bar=2"),
        ("foo=1,banyan=0,bar=2", "1", "banyan=1,foo=1,bar=2"),
        ("foo=1", "a=b", "foo=1"),
        ("foo=1", "a,b", "foo=1"),
        ("foo=1", "", "foo=1"),
    ] {
        let changed = state(before).with_own(value.as_bytes());
        assert_eq!(changed.value().map(|value| value.to_str().unwrap()), Some(after), "{before}");
        assert_eq!(changed.own(), after.starts_with("banyan").then_some(value.as_bytes()));
    }
    let full = (0..32).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let changed = state(&full).with_own(b"1");
    let changed = changed.value().unwrap().to_str().unwrap().to_owned();
    assert!(changed.starts_with("banyan=1,k0=v") && changed.ends_with("k30=v"), "the right-most makes room");
}

#[test]
fn every_outgoing_request_has_a_span_of_its_own() {
    let Some(Incoming::Context { context, .. }) = extract(&[("traceparent", GOOD)], Caller::Believed) else {
        panic!()
    };
    assert_eq!((context.trace_id.get(), context.span_id.get()), (TRACE, SPAN));
    let server = context.child(7);
    let (first, second) = (server.child(8), server.child(9));
    for child in [&server, &first, &second] {
        assert_eq!(child.trace_id, context.trace_id);
        assert_eq!(child.sampling, context.sampling);
    }
    assert_eq!(first.parent_id, Some(server.span_id));
    assert_ne!(first.span_id, second.span_id);
    // Even with rolls that no good generator yields.
    for roll in [0, SPAN, u64::MAX] {
        assert_ne!(context.child(roll).span_id, context.span_id);
    }
    let all_ones = context.child(u64::MAX);
    assert_ne!(all_ones.child(u64::MAX).span_id, all_ones.span_id);
}

#[test]
fn the_random_flag_is_ours_to_set_only_for_our_own_traces() {
    assert_eq!(Context::new_root(TRACE, SPAN).randomness, Randomness::Random);
    assert_eq!(Context::new_root(0, 0).trace_id.get(), 1);
    check_parent("00-12345678901234567890123456789012-1234567890123456-01", Some("01"));
    check_parent("00-12345678901234567890123456789012-1234567890123456-03", Some("03"));
}

/// Reliability §2 row 58: the flag of a stranger decides nothing; the id may be kept or not.
#[test]
fn a_stranger_keeps_its_trace_but_not_its_decision() {
    let fields = [("traceparent", GOOD), ("tracestate", "foo=1")];
    let Some(Incoming::Context { context, format }) = extract(&fields, Caller::Stranger) else { panic!() };
    assert_eq!((context.trace_id.get(), context.sampling), (TRACE, Sampling::Undecided));
    assert_eq!(format, Format::TraceContext);
    let restart = Propagation { strangers: Strangers::Restart, ..Propagation::default() };
    assert_eq!(restart.extract(&headers(&fields), Caller::Stranger, &mut Silent), None);
    assert!(restart.extract(&headers(&fields), Caller::Believed, &mut Silent).is_some());
}

#[test]
fn the_witness_hears_why_a_trace_begins_anew() {
    for (fields, caller, expected) in [
        (&[][..], Caller::Believed, "a new trace begins: the caller sent none"),
        (&[("traceparent", "00-zz")], Caller::Believed, "a new trace begins: traceparent is malformed"),
        (&[("b3", "zz")], Caller::Believed, "a new trace begins: b3 is malformed"),
        (&[("b3", "1")], Caller::Stranger, "a new trace begins: the caller is a stranger"),
        (
            &[("traceparent", GOOD)],
            Caller::Stranger,
            "a stranger's trace goes on; what it decided is not believed",
        ),
    ] {
        let mut notes = Notes::default();
        Propagation::default().extract(&headers(fields), caller, &mut notes);
        assert_eq!(notes.0.iter().map(|note| note.words.as_str()).collect::<Vec<_>>(), [expected]);
    }
}
