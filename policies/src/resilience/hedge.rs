//! A second try for a read whose answer is late, while the first goes on; the first answer wins.

use http::Method;

use super::budget::Budget;
use super::repeat::{Because, Call, Sent};
use crate::time::Tick;

/// May a second try be sent now? The shell asks once, after the route's `hedge.after`. Takes one retry out of the
/// budget if so: hedges and retries are the same extra load.
///
/// # Errors
/// Why not: only GET and HEAD are hedged, with time left and a retry in the budget, and not for a caller who retries.
pub fn hedge(call: &Call<'_>, budget: &Budget, now: Tick) -> Result<(), Because> {
    if !matches!(*call.method, Method::GET | Method::HEAD) {
        return Err(Because::NotRead);
    }
    call.may_be_sent_again(Sent::Something)?;
    if call.deadline.is_over(now) {
        return Err(Because::DeadlineTooNear);
    }
    if budget.withdraw(now) { Ok(()) } else { Err(Because::BudgetEmpty) }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::Duration;

    use super::super::budget;
    use super::super::deadline::Deadline;
    use super::super::repeat::{Effect, IdempotencyKey, Replayable};
    use super::*;

    fn call(method: &Method) -> Call<'_> {
        Call {
            method,
            idempotency_key: IdempotencyKey::Absent,
            effect: Effect::AsMethod,
            body: Replayable::Yes,
            incoming_attempt: 1,
            deadline: Deadline::new(Tick::ZERO, Duration::from_secs(1)),
        }
    }

    #[test]
    fn only_reads_with_time_left_are_hedged_and_only_within_the_budget() {
        let settings = budget::Settings { ratio: 1.0, min_per_second: 0, ..budget::Settings::default() };
        let now = Tick::ZERO.after(Duration::from_millis(100));
        let late = Tick::ZERO.after(Duration::from_secs(2));
        let paid = || {
            let budget = Budget::new(&settings);
            budget.deposit(now);
            budget
        };
        assert_eq!(hedge(&call(&Method::GET), &paid(), now), Ok(()));
        assert_eq!(hedge(&call(&Method::PUT), &paid(), now), Err(Because::NotRead));
        assert_eq!(hedge(&call(&Method::GET), &paid(), late), Err(Because::DeadlineTooNear));
        assert_eq!(hedge(&call(&Method::GET), &Budget::new(&settings), now), Err(Because::BudgetEmpty));
        let retrying = Call { incoming_attempt: 2, ..call(&Method::GET) };
        assert_eq!(hedge(&retrying, &paid(), now), Err(Because::CallerRetries));
    }
}
