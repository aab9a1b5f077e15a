//! B3 in both spellings.

use super::*;

const T32: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const T16: &str = "64fe8b2a57d3eff7";
const S: &str = "e457b5a2e4d86bd1";
const P: &str = "05e3ac9a4f6e3b90";

/// Trace, span, parent, decision; or the decision alone; or that the trace begins anew.
fn seen(fields: &[(&str, &str)]) -> String {
    match extract(fields, Caller::Believed) {
        None => "new".to_owned(),
        Some(Incoming::Decision { sampling, .. }) => format!("{sampling:?}"),
        Some(Incoming::Context { context, .. }) => {
            let parent = context.parent_id.map_or_else(|| "-".to_owned(), |id| format!("{id:016x}"));
            assert_eq!(context.randomness, Randomness::Unknown);
            format!("{:032x} {:016x} {parent} {:?}", context.trace_id, context.span_id, context.sampling)
        }
    }
}

#[test]
fn the_single_field() {
    let padded = format!("0000000000000000{T16}");
    for (value, expected) in [
        ("0".to_owned(), "Drop".to_owned()),
        ("1".to_owned(), "Keep".to_owned()),
        ("d".to_owned(), "Debug".to_owned()),
        (" d ".to_owned(), "Debug".to_owned()),
        (format!("{T32}-{S}"), format!("{T32} {S} - Undecided")),
        (format!("{T32}-{S}-1"), format!("{T32} {S} - Keep")),
        (format!("{T32}-{S}-0"), format!("{T32} {S} - Drop")),
        (format!("{T32}-{S}-d"), format!("{T32} {S} - Debug")),
        (format!("{T32}-{S}-1-{P}"), format!("{T32} {S} {P} Keep")),
        (format!("{T16}-{S}-1"), format!("{padded} {S} - Keep")),
    ] {
        assert_eq!(seen(&[("b3", &value)]), expected, "{value}");
    }
    let zero = "0".repeat(16);
    for value in [
        String::new(),
        "2".to_owned(),
        "true".to_owned(),
        T32.to_owned(),
        format!("{T32}-"),
        format!("{T32}-{S}-"),
        format!("{T32}-{S}-2"),
        format!("{T32}-{S}-1-"),
        format!("{T32}-{S}-1-{P}-"),
        format!("{T32}-{S}-1-{P}-x"),
        format!("{T32}-{S}-{P}"),
        format!("{T32}-{S}--{P}"),
        format!("{T32}-{S}-1--"),
        format!("{zero}{zero}-{S}-1"),
        format!("{zero}-{S}-1"),
        format!("{T32}-{zero}-1"),
        format!("{T32}-{S}-1-{zero}"),
        format!("{}-{S}-1", T32.to_uppercase()),
        format!("{T32}0-{S}-1"),
        format!("{}-{S}-1", &T32[1..]),
        format!("{T32}-{S}0-1"),
        format!("{T32} -{S}-1"),
    ] {
        assert_eq!(seen(&[("b3", &value)]), "new", "{value}");
    }
    assert_eq!(seen(&[("b3", "1"), ("b3", "0")]), "new");
}

#[test]
fn the_several_fields() {
    let ids = [("X-B3-TraceId", T32), ("X-B3-SpanId", S)];
    let with = |more: &[(&'static str, &'static str)]| seen(&[&ids[..], more].concat());
    for (more, expected) in [
        (&[][..], "- Undecided"),
        (&[("x-b3-sampled", "1")], "- Keep"),
        (&[("x-b3-sampled", "true")], "- Keep"),
        (&[("x-b3-sampled", "0")], "- Drop"),
        (&[("x-b3-sampled", "false")], "- Drop"),
        (&[("x-b3-sampled", "0"), ("x-b3-sampled", "1")], "- Drop"),
        (&[("x-b3-flags", "1")], "- Debug"),
        (&[("x-b3-flags", "1"), ("x-b3-sampled", "0")], "- Debug"),
        (&[("x-b3-flags", "0"), ("x-b3-sampled", "1")], "- Keep"),
        (&[("x-b3-flags", "nonsense")], "- Undecided"),
    ] {
        assert_eq!(with(more), format!("{T32} {S} {expected}"), "{more:?}");
    }
    assert_eq!(with(&[("x-b3-parentspanid", P), ("x-b3-sampled", "1")]), format!("{T32} {S} {P} Keep"));
    assert_eq!(
        seen(&[("x-b3-traceid", T16), ("x-b3-spanid", S)]),
        format!("0000000000000000{T16} {S} - Undecided")
    );
    for more in
        [("x-b3-sampled", ""), ("x-b3-sampled", "yes"), ("x-b3-parentspanid", "-"), ("x-b3-parentspanid", "")]
    {
        assert_eq!(with(&[more]), "new", "{more:?}");
    }
    for (fields, expected) in [
        (&[("x-b3-sampled", "0")][..], "Drop"),
        (&[("x-b3-flags", "1")], "Debug"),
        (&[("x-b3-flags", "0")], "new"),
        (&[("x-b3-traceid", T32)], "new"),
        (&[("x-b3-spanid", S), ("x-b3-sampled", "1")], "new"),
        (&[("x-b3-parentspanid", P)], "new"),
    ] {
        assert_eq!(seen(fields), expected, "{fields:?}");
    }
}

#[test]
fn the_first_format_that_is_present_speaks() {
    let single = format!("{T32}-{S}-1");
    let multi = [("x-b3-traceid", T16), ("x-b3-spanid", P)];
    let three = [&[("traceparent", GOOD), ("b3", &*single)][..], &multi].concat();
    let format = |read: &[Format], fields: &[(&str, &str)]| {
        let propagation = Propagation { read: read.to_vec(), ..Propagation::default() };
        propagation.extract(&headers(fields), Caller::Believed, &mut Silent).map(|incoming| incoming.format())
    };
    use Format::{B3Multi, B3Single, TraceContext};
    for (read, fields, expected) in [
        (&[TraceContext, B3Single, B3Multi][..], &three[..], Some(TraceContext)),
        (&[B3Single, TraceContext], &three, Some(B3Single)),
        (&[B3Multi, TraceContext], &three, Some(B3Multi)),
        (&[TraceContext, B3Single, B3Multi], &three[1..], Some(B3Single)),
        (&[TraceContext, B3Single, B3Multi], &multi, Some(B3Multi)),
        (&[TraceContext], &three[1..], None),
        (&[], &three, None),
        (&[TraceContext, B3Single], &[("traceparent", "nonsense"), ("b3", &*single)], None),
    ] {
        assert_eq!(format(read, fields), expected, "{read:?}");
    }
}

#[test]
fn b3_is_answered_with_b3_and_w3c() {
    let sent = sent_on(&[("b3", &format!("{T32}-{S}-1-{P}")), ("tracestate", "foo=1")]);
    assert_eq!(field(&sent, "traceparent").unwrap(), format!("00-{T32}-000000000000cccc-01"));
    assert_eq!(field(&sent, "b3").unwrap(), format!("{T32}-000000000000cccc-1-000000000000bbbb"));
    assert_eq!(field(&sent, "tracestate"), None, "a state without its parent");

    let sent =
        sent_on(&[("x-b3-traceid", T32), ("x-b3-spanid", S), ("x-b3-flags", "1"), ("x-b3-sampled", "1")]);
    assert_eq!(field(&sent, "traceparent").unwrap(), format!("00-{T32}-000000000000cccc-01"));
    assert_eq!(field(&sent, "x-b3-traceid").unwrap(), T32);
    assert_eq!(field(&sent, "x-b3-spanid").unwrap(), "000000000000cccc");
    assert_eq!(field(&sent, "x-b3-parentspanid").unwrap(), "000000000000bbbb");
    assert_eq!(field(&sent, "x-b3-flags").unwrap(), "1");
    assert_eq!(field(&sent, "x-b3-sampled"), None, "debug says it");

    let sent = sent_on(&[("b3", "0")]);
    assert_eq!(
        field(&sent, "b3").unwrap(),
        "0000000000000000000000000000aaaa-000000000000cccc-0-000000000000bbbb"
    );
    assert_eq!(
        field(&sent, "traceparent").unwrap(),
        "00-0000000000000000000000000000aaaa-000000000000cccc-02"
    );
}

#[test]
fn a_b3_field_beside_w3c_does_not_survive_as_it_was() {
    let sent = sent_on(&[("traceparent", GOOD), ("b3", "1"), ("x-b3-traceid", T32)]);
    assert_eq!((field(&sent, "b3"), field(&sent, "x-b3-traceid")), (None, None));
    let all = ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"];
    let came: Vec<_> = [("traceparent", GOOD)].into_iter().chain(all.map(|name| (name, "1"))).collect();
    assert_eq!(sent_on(&came).keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["traceparent"]);
}

#[test]
fn b3_is_not_echoed_when_nobody_wants_it() {
    let never = Propagation { echo: Echo::Never, ..Propagation::default() };
    let root = Context::new_root(1, 2);
    let names = |propagation: &Propagation, came_in| {
        propagation.outgoing(&root, came_in).into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&never, Some(Format::B3Single)), ["traceparent"]);
    let both = Propagation { write: vec![Format::B3Single, Format::TraceContext], ..Propagation::default() };
    assert_eq!(names(&both, Some(Format::B3Single)), ["b3", "traceparent"]);
    assert_eq!(names(&both, None), ["b3", "traceparent"]);
}

/// Anybody can send `b3: d`; only those we believe get it.
#[test]
fn a_stranger_cannot_force_recording() {
    for fields in [&[("b3", "d")][..], &[("x-b3-flags", "1")], &[("b3", "1")]] {
        assert_eq!(extract(fields, Caller::Stranger), None);
    }
    let Some(Incoming::Context { context, .. }) =
        extract(&[("b3", &format!("{T32}-{S}-d"))], Caller::Stranger)
    else {
        panic!("the trace goes on");
    };
    assert_eq!(context.sampling, Sampling::Undecided);
}
