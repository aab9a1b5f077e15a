//! What is written is read back, whatever the context; nothing that arrives does harm.

use proptest::prelude::*;

use super::*;

fn contexts() -> impl Strategy<Value = Context> {
    let sampling =
        prop::sample::select(vec![Sampling::Debug, Sampling::Drop, Sampling::Keep, Sampling::Undecided]);
    let randomness = prop::sample::select(vec![Randomness::Random, Randomness::Unknown]);
    let member = "[a-z0-9][a-z0-9_*/-]{0,8}(@[a-z][a-z0-9]{0,5})?=[ -+\\--<>-~]{0,20}[!-+\\--<>-~]";
    let members = prop::collection::vec(member, 0..6);
    (1_u128.., 1_u64.., prop::option::of(1_u64..), sampling, randomness, members).prop_map(
        |(trace, span, parent, sampling, randomness, members)| Context {
            parent_id: parent.map(|parent| Context::new_root(1, parent).span_id),
            sampling,
            randomness,
            state: state(&members.join(",")),
            ..Context::new_root(trace, span)
        },
    )
}

fn state(text: &str) -> State {
    let headers = headers(&[("tracestate", text)]);
    State::read(&headers.get_all("tracestate"))
}

/// What is left of a context after a journey in this format.
fn carried(context: &Context, format: Format) -> Context {
    let mut carried = context.clone();
    if format == Format::TraceContext {
        carried.parent_id = None;
        carried.sampling = if context.sampling.records() { Sampling::Keep } else { Sampling::Drop };
    } else {
        carried.state = State::default();
        carried.randomness = Randomness::Unknown;
    }
    if format == Format::B3Single && context.sampling == Sampling::Undecided {
        carried.parent_id = None;
    }
    carried
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read_back(context in contexts()) {
        for format in [Format::B3Multi, Format::B3Single, Format::TraceContext] {
            let propagation = Propagation { write: vec![format], ..Propagation::default() };
            let mut headers = HeaderMap::new();
            propagation.inject(&context, None, &mut headers);
            let back = propagation.extract(&headers, Caller::Believed, &mut Silent);
            prop_assert_eq!(back, Some(Incoming::Context { context: carried(&context, format), format }));
        }
    }

    #[test]
    fn nonsense_does_no_harm_and_what_goes_on_is_always_well_formed(
        fields in prop::collection::vec(fields(), 0..6),
        rolls in any::<(u128, u64, u64)>(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(name, value);
            }
        }
        let propagation = Propagation::default();
        for caller in [Caller::Believed, Caller::Stranger] {
            let incoming = propagation.extract(&headers, caller, &mut Silent);
            let context = Context::begin(incoming.as_ref(), rolls.0, rolls.1).child(rolls.2);
            let mut sent = headers.clone();
            propagation.inject(&context, incoming.as_ref().map(Incoming::format), &mut sent);
            let expected = Incoming::Context { context: carried(&context, Format::TraceContext), format: Format::TraceContext };
            prop_assert_eq!(propagation.extract(&sent, Caller::Believed, &mut Silent), Some(expected));
        }
    }

    #[test]
    fn baggage_only_loses(lines in prop::collection::vec("[a-c=;, \"]{0,24}", 0..4)) {
        let fields: Vec<_> = lines.iter().map(|line| ("baggage", line.as_str())).collect();
        let kept = super::super::baggage(&headers(&fields), &mut Silent);
        if let Some(kept) = kept {
            let kept = kept.to_str().unwrap();
            let mut sent = lines.iter().flat_map(|line| line.split(',')).map(|member| member.trim_matches([' ', '\t']));
            prop_assert!(kept.split(',').all(|member| sent.any(|sent| sent == member)), "{} of {:?}", kept, lines);
            prop_assert_eq!(super::super::baggage(&headers(&[("baggage", kept)]), &mut Silent).unwrap(), kept);
        }
    }

    #[test]
    fn a_state_is_read_the_same_twice(text in "[a-c0=, \t@]{0,40}") {
        let once = state(&text);
        let twice = once.value().map(|value| state(value.to_str().unwrap())).unwrap_or_default();
        prop_assert_eq!(once, twice);
    }
}

/// Fields that are nearly right, and some that are not.
fn fields() -> impl Strategy<Value = (HeaderName, Vec<u8>)> {
    let name = prop::sample::select(vec![
        "traceparent",
        "tracestate",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-flags",
    ]);
    let value = prop_oneof![
        "(00|cc|ff)-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?",
        "[0-9a-f]{16}|[0-9a-f]{32}|[01d]",
        "[0-9a-f]{32}-[0-9a-f]{16}(-[01d](-[0-9a-f]{16})?)?",
        "([a-z]{1,2}=[a-z]{1,150},?){0,40}",
    ];
    let value =
        prop_oneof![3 => value.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..80)];
    (name.prop_map(HeaderName::from_static), value)
}
