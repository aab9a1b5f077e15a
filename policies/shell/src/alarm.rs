//! A timer that is set once and moved seldom. To set one and take it off again for each wait costs more than most waits are
//! worth; this one stays where it is as long as it goes off early enough, and is set anew when it has gone off too early.
//! So one alarm serves a connection from its first request to its last.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one wait after the other, made when somebody waits first.
#[derive(Debug, Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready when this moment has come, and not before. Whoever is told to wait is woken at the latest then, and has to ask
    /// again whenever it is woken.
    pub fn poll(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() == at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const MUCH_LATER: Duration = Duration::from_secs(3600);

    async fn ring(alarm: &mut Alarm, at: Instant) {
        std::future::poll_fn(|context| alarm.poll(at, context)).await;
        let now = Instant::now();
        assert!(now >= at && now < at + MUCH_LATER, "asked for {at:?}, rang at {now:?}");
    }

    /// Waits, and gives up at once.
    fn look(alarm: &mut Alarm, at: Instant) -> Poll<()> {
        alarm.poll(at, &mut Context::from_waker(std::task::Waker::noop()))
    }

    #[tokio::test]
    async fn it_rings_at_the_moment_asked_for_whatever_it_was_set_for_before() {
        let mut alarm = Alarm::default();
        let begin = Instant::now();
        // Later and later, the same again, and one that is over.
        for wait in [SOON, SOON * 2, SOON * 2, Duration::ZERO, SOON * 3] {
            ring(&mut alarm, begin + wait).await;
        }
    }

    #[tokio::test]
    async fn it_is_set_forward_for_who_wants_less_and_back_for_who_wants_more() {
        let mut alarm = Alarm::default();
        for _ in 0..3 {
            let now = Instant::now();
            assert_eq!(look(&mut alarm, now + MUCH_LATER), Poll::Pending);
            ring(&mut alarm, now + SOON).await;
            assert_eq!(look(&mut alarm, now + MUCH_LATER), Poll::Pending);
            assert_eq!(look(&mut alarm, now), Poll::Ready(()));
        }
    }
}
