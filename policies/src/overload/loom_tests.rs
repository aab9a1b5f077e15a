//! The interleavings of requests that come and go.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::*;
use crate::request::Priority;
use crate::time::Tick;

/// All interleavings with at most three preemptions, which is what keeps three threads affordable.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn limiter(max: u32, samples_min: u32) -> Arc<Limiter> {
    let settings =
        Settings { min: 1, max, initial: 1, samples_min, window: Duration::ZERO, ..Settings::default() };
    Arc::new(Limiter::new(settings))
}

#[test]
fn loom_never_more_in_flight_than_the_limit_and_none_leaks() {
    check(|| {
        let limiter = limiter(1, 100);
        let visit = |limiter: Arc<Limiter>| {
            let ticket = limiter.enter(Priority::Critical, Tick::from_nanos(1));
            assert!(limiter.in_flight() <= 1);
            ticket.is_ok()
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let limiter = Arc::clone(&limiter);
                thread::spawn(move || visit(limiter))
            })
            .collect();
        let mut entered = u64::from(visit(Arc::clone(&limiter)));
        for other in others {
            entered += u64::from(other.join().unwrap());
        }
        assert_eq!(limiter.in_flight(), 0);
        assert_eq!(entered + limiter.shed(Priority::Critical), 3);
    });
}

#[test]
fn loom_threads_that_close_windows_at_the_same_time_lose_nothing() {
    check(|| {
        let limiter = limiter(4, 1);
        let visit = |limiter: Arc<Limiter>, now: u64| {
            if let Ok(ticket) = limiter.enter(Priority::Critical, Tick::from_nanos(now)) {
                ticket.finish(Outcome::Answered, Tick::from_nanos(now + 5000));
            }
        };
        visit(Arc::clone(&limiter), 1);
        let other = {
            let limiter = Arc::clone(&limiter);
            thread::spawn(move || visit(limiter, 20_000))
        };
        visit(Arc::clone(&limiter), 20_000);
        other.join().unwrap();
        assert_eq!(limiter.in_flight(), 0);
        assert!((1..=4).contains(&limiter.limit()));
        assert_eq!(limiter.uncrowded_latency(), Duration::from_micros(5));
    });
}
