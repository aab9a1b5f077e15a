//! Bodies as they go by.

use proptest::prelude::*;

use super::*;
use crate::verdict::Fault;
use Ended::{Abruptly, Properly};

fn metered(mut meter: BodyMeter, chunks: &[usize], ended: Ended) -> Result<u64, Misfit> {
    for &chunk in chunks {
        meter.chunk(chunk)?;
    }
    meter.end(ended).map(|()| meter.seen())
}

fn request(body: Body) -> BodyMeter {
    BodyMeter::request(body, 10).unwrap()
}

#[test]
fn a_request_body_is_what_its_head_announced() {
    for (body, chunks, ended, expected) in [
        (Body::None, &[][..], Properly, Ok(0)),
        (Body::None, &[1], Properly, Err(Misfit::TooLong)),
        (Body::Length(5), &[2, 3], Properly, Ok(5)),
        (Body::Length(5), &[2, 3], Abruptly, Ok(5)),
        (Body::Length(5), &[2, 2], Properly, Err(Misfit::Truncated)),
        (Body::Length(5), &[2, 4], Properly, Err(Misfit::TooLong)),
        (Body::Length(10), &[10], Properly, Ok(10)),
        (Body::Chunked, &[5, 5], Properly, Ok(10)),
        (Body::Chunked, &[5, 5], Abruptly, Err(Misfit::Truncated)),
        (Body::Chunked, &[5, 6], Properly, Err(Misfit::TooLarge)),
        (Body::Chunked, &[usize::MAX, usize::MAX], Properly, Err(Misfit::TooLarge)),
        (Body::Stream, &[], Properly, Ok(0)),
        (Body::Stream, &[1], Abruptly, Err(Misfit::Truncated)),
    ] {
        assert_eq!(metered(request(body), chunks, ended), expected, "{body:?} {chunks:?} {ended:?}");
    }
}

#[test]
fn a_body_announced_too_large_is_never_read() {
    assert_eq!(BodyMeter::request(Body::Length(11), 10).unwrap_err(), Denial::BodyTooLarge);
}

#[test]
fn a_truncated_answer_is_never_complete() {
    for (body, chunks, ended, expected) in [
        (AnswerBody::Length(5), &[5][..], Properly, Ok(5)),
        (AnswerBody::Length(5), &[4], Properly, Err(Misfit::Truncated)),
        (AnswerBody::Length(5), &[4], Abruptly, Err(Misfit::Truncated)),
        (AnswerBody::Length(5), &[6], Properly, Err(Misfit::TooLong)),
        (AnswerBody::Chunked, &[4], Abruptly, Err(Misfit::Truncated)),
        (AnswerBody::Chunked, &[4], Properly, Ok(4)),
        (AnswerBody::UntilClose, &[4], Properly, Ok(4)),
        (AnswerBody::UntilClose, &[4], Abruptly, Err(Misfit::Truncated)),
        (AnswerBody::None, &[], Properly, Ok(0)),
        (AnswerBody::None, &[1], Properly, Err(Misfit::TooLong)),
    ] {
        assert_eq!(
            metered(BodyMeter::answer(body), chunks, ended),
            expected,
            "{body:?} {chunks:?} {ended:?}"
        );
    }
}

#[test]
fn fault_once_found_stays() {
    let mut meter = request(Body::Chunked);
    assert_eq!(meter.chunk(11), Err(Misfit::TooLarge));
    assert_eq!(meter.chunk(0), Err(Misfit::TooLarge));
    assert_eq!(meter.end(Properly), Err(Misfit::TooLarge));
    let mut meter = request(Body::Length(5));
    assert_eq!(meter.chunk(6), Err(Misfit::TooLong));
    assert_eq!(meter.end(Properly), Err(Misfit::TooLong));
}

#[test]
fn each_misfit_has_its_verdict() {
    for (misfit, denial, fault) in [
        (Misfit::TooLarge, Denial::BodyTooLarge, Fault::AnswerMalformed),
        (Misfit::TooLong, Denial::BadBody, Fault::AnswerMalformed),
        (Misfit::Truncated, Denial::BadBody, Fault::AnswerTruncated),
    ] {
        assert_eq!((misfit.denial(), misfit.fault()), (denial, fault));
    }
}

proptest! {
    #[test]
    fn only_the_announced_length_is_complete(length in 0u64..40, chunks in prop::collection::vec(0usize..10, 0..8)) {
        let sum: usize = chunks.iter().sum();
        let complete = metered(BodyMeter::answer(AnswerBody::Length(length)), &chunks, Properly).is_ok();
        prop_assert_eq!(complete, u64::try_from(sum) == Ok(length));
    }
}
