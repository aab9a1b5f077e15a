//! Who is recorded.

use super::*;

fn context(trace_id: u128, sampling: Sampling) -> Context {
    Context { sampling, ..Context::new_root(trace_id, 1) }
}

#[test]
fn a_decision_made_before_us_stands_if_we_follow() {
    for (sampling, follow, ignore) in [
        (Sampling::Debug, Sampling::Debug, Sampling::Drop),
        (Sampling::Keep, Sampling::Keep, Sampling::Drop),
        (Sampling::Drop, Sampling::Drop, Sampling::Drop),
        (Sampling::Undecided, Sampling::Drop, Sampling::Drop),
    ] {
        let context = context(u128::MAX, sampling);
        for (parent, expected) in [(Parent::Follow, follow), (Parent::Ignore, ignore)] {
            let sampler = Sampler { ratio: 0.0, parent };
            assert_eq!(sampler.decide(&context, Caller::Believed, 0), expected, "{sampling:?} {parent:?}");
        }
    }
}

#[test]
fn the_low_56_bits_decide() {
    let half = 1_u128 << 55;
    for (trace_id, ratio, expected) in [
        (half, 0.5, Sampling::Keep),
        (half - 1, 0.5, Sampling::Drop),
        (u128::MAX << 56 | (half - 1), 0.5, Sampling::Drop),
        ((1 << 56) - 1, 0.000_001, Sampling::Keep),
        (1, 1.0, Sampling::Keep),
        (1, 2.0, Sampling::Keep),
        (u128::MAX, 0.0, Sampling::Drop),
        (u128::MAX, -1.0, Sampling::Drop),
        (u128::MAX, f64::NAN, Sampling::Drop),
    ] {
        let sampler = Sampler { ratio, parent: Parent::Follow };
        let decision = sampler.decide(&context(trace_id, Sampling::Undecided), Caller::Believed, 0);
        assert_eq!(decision, expected, "{trace_id:x} {ratio}");
    }
}

/// Reliability §2 row 58: ids made to be kept are not.
#[test]
fn a_strangers_id_decides_nothing() {
    let sampler = Sampler { ratio: 0.5, parent: Parent::Follow };
    let forged = context(u128::MAX, Sampling::Undecided);
    assert_eq!(sampler.decide(&forged, Caller::Stranger, 0), Sampling::Drop);
    assert_eq!(sampler.decide(&forged, Caller::Stranger, u64::MAX), Sampling::Keep);
    assert_eq!(sampler.decide(&forged, Caller::Believed, 0), Sampling::Keep);
}

#[test]
fn a_larger_ratio_keeps_what_a_smaller_one_kept_and_about_its_share() {
    let mut kept = [0; 3];
    for n in 0..10_000_u128 {
        let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1;
        let decisions = [0.1, 0.5, 0.9].map(|ratio| {
            let sampler = Sampler { ratio, parent: Parent::Follow };
            sampler.decide(&context(id, Sampling::Undecided), Caller::Believed, 0).records()
        });
        assert!(decisions.is_sorted(), "{id:x}");
        decisions.iter().zip(&mut kept).for_each(|(decision, kept)| *kept += i32::from(*decision));
    }
    for (kept, expected) in kept.into_iter().zip([1000, 5000, 9000]) {
        assert!((kept - expected).abs() < 200, "{kept} of {expected}");
    }
}
