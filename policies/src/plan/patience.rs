//! How long one attempt may be silent: what the target's timeouts, the retry block and the deadline leave together.

use std::time::Duration;

use http::header::{ACCEPT, HeaderValue};
use http::request::Parts;

use super::Timeouts;
use crate::guard::Upgrade;
use crate::resilience::deadline::Deadline;
use crate::time::Tick;

/// A quiet tunnel or event stream is not a dead one; but nothing is kept for ever.
const STREAM_SILENCE: Duration = Duration::from_secs(3600);

/// How long the steps of one attempt may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Until the answer's head is here.
    pub answer: Duration,
    /// Between two parts of its body.
    pub silence: Duration,
}

/// What kind of answer is expected, as far as the request shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expects {
    /// One answer, whose parts follow each other.
    Answer,
    /// A tunnel, a stream of events, a gRPC stream: silence is normal.
    Stream,
}

impl Expects {
    /// What this request shows.
    pub fn of(head: &Parts, upgrade: Option<Upgrade>) -> Self {
        let accepts = |value: &HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
        let events = head.headers.get(ACCEPT).is_some_and(accepts);
        if upgrade.is_some() || events { Self::Stream } else { Self::Answer }
    }
}

impl Timeouts {
    /// The patience of one attempt that begins now.
    pub fn patience(
        &self,
        deadline: Deadline,
        per_try: Option<Duration>,
        expects: Expects,
        now: Tick,
    ) -> Patience {
        let left = deadline.for_attempt(now, per_try).left(now);
        let answer = self.answer.map_or(left, |answer| answer.min(left));
        let silence = match expects {
            Expects::Answer => self.idle,
            Expects::Stream => STREAM_SILENCE,
        };
        Patience { connect: self.connect.min(left), answer, silence }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn nothing_lasts_longer_than_the_deadline() {
        let timeouts = Timeouts { connect: S(2), answer: Some(S(5)), idle: S(30) };
        let check = |deadline, per_try, expects, connect, answer, silence| {
            let deadline = Deadline::new(Tick::ZERO, deadline);
            let found = timeouts.patience(deadline, per_try, expects, Tick::ZERO);
            assert_eq!(found, Patience { connect, answer, silence }, "{deadline:?} {per_try:?}");
        };
        check(S(30), None, Expects::Answer, S(2), S(5), S(30));
        check(S(3), None, Expects::Answer, S(2), S(3), S(30));
        check(S(30), Some(S(1)), Expects::Answer, S(1), S(1), S(30));
        check(S(30), None, Expects::Stream, S(2), S(5), S(3600));
    }
}
