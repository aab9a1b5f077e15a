//! Room at a target: so many calls at once, a bounded queue before the door, a bounded wait. One slow target fills
//! its own bulkhead and starves nobody else.
//!
//! Nothing here blocks. A caller that must wait gets a [`Ticket`], which is a standard `Future` (no runtime is
//! named); the shell awaits it with a timer beside. A place that is freed while somebody waits is *handed over* to
//! the first in the line: it is never free in between, so nobody can overtake and no wake-up can be lost.
//!
//! The loop of a shell, here with a timer that has not gone off:
//!
//! ```
//! use std::{sync::Arc, task::{Context, Poll, Waker}};
//! use policies::{resilience::bulkhead::{Bulkhead, Entry, Settings}, time::Tick};
//!
//! let bulkhead = Arc::new(Bulkhead::new(Settings { max: 1, ..Settings::default() }));
//! let Ok(Entry::Inside(first)) = bulkhead.enter(Tick::ZERO) else { unreachable!() };
//! let Ok(Entry::Waiting(mut ticket)) = bulkhead.enter(Tick::ZERO) else { unreachable!() };
//! // An async shell: `timeout_at(ticket.deadline(), &mut ticket).await`, and `ticket.give_up()` if that ran out.
//! let mut context = Context::from_waker(Waker::noop());
//! assert!(std::pin::Pin::new(&mut ticket).poll(&mut context).is_pending());
//! drop(first);
//! let Poll::Ready(place) = std::pin::Pin::new(&mut ticket).poll(&mut context) else { unreachable!() };
//! assert_eq!(bulkhead.inside(), 1);
//! # drop(place);
//! ```

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        lock,
    },
    time::Tick,
    verdict::Denial,
};

/// How much room there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Calls at once.
    pub max: u32,
    /// Callers that may wait.
    pub queue: u32,
    /// How long each waits at most.
    pub wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        // A target that answers in 50 ms serves 400 calls a second through 20 places; a queue of two or three times
        // that takes up a burst, and more than 200 ms of waiting is better spent on an honest 503.
        Self { max: 20, queue: 50, wait: Duration::from_millis(200) }
    }
}

/// One caller inside, in the high half of the word.
const INSIDE: u64 = 1 << 32;
/// One caller in the line, in the low half.
const WAITING: u64 = 1;

/// The bulkhead of one target, shared by all threads.
pub struct Bulkhead {
    settings: Settings,
    /// Callers inside and callers waiting, in one word: to step in, and to step out without looking at the line, is
    /// one atomic step that fails if anybody waits.
    word: AtomicU64,
    line: Mutex<Line>,
}

/// Those who wait, in the order they came. Its length is the low half of the word whenever the lock is free.
struct Line {
    next: u64,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    number: u64,
    waker: Option<Waker>,
}

/// What a caller gets.
pub enum Entry {
    /// Go on.
    Inside(Place),
    /// Wait for your turn.
    Waiting(Ticket),
}

/// A place inside, until it is dropped.
#[must_use = "a place is held as long as this lives"]
pub struct Place(Arc<Bulkhead>);

/// A place in the line, until it is served or dropped. As a `Future` it yields the [`Place`]. Nobody is ever woken
/// for nothing, and a ticket that is dropped after its turn came passes the place on.
#[must_use = "dropping a ticket leaves the line"]
pub struct Ticket {
    bulkhead: Arc<Bulkhead>,
    number: u64,
    deadline: Tick,
    served: Served,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Served {
    NotYet,
    Yes,
}

impl std::fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bulkhead").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Bulkhead {
    /// An empty one.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            word: AtomicU64::new(0),
            line: Mutex::new(Line { next: 0, waiting: VecDeque::new() }),
        }
    }

    /// Steps in, or joins the line. A newcomer never overtakes those who wait.
    ///
    /// # Errors
    /// [`Denial::BulkheadFull`] if the line is as long as it may be.
    pub fn enter(self: &Arc<Self>, now: Tick) -> Result<Entry, Denial> {
        let stepped = self.update(|word| self.has_room(word).then_some(word + INSIDE));
        if stepped.is_ok() {
            return Ok(Entry::Inside(Place(Arc::clone(self))));
        }
        self.join_line(now)
    }

    /// Callers inside now.
    pub fn inside(&self) -> u32 {
        inside(self.word.load(Ordering::Relaxed))
    }

    /// Callers waiting now.
    pub fn waiting(&self) -> u32 {
        waiting(self.word.load(Ordering::Relaxed))
    }

    /// How much room there is in all.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn join_line(self: &Arc<Self>, now: Tick) -> Result<Entry, Denial> {
        let mut line = lock(&self.line);
        // A place may have become free since we looked.
        let before = self.update(|word| match self.has_room(word) {
            true => Some(word + INSIDE),
            false => (waiting(word) < self.settings.queue).then_some(word + WAITING),
        });
        match before {
            Err(_) => Err(Denial::BulkheadFull),
            Ok(word) if self.has_room(word) => Ok(Entry::Inside(Place(Arc::clone(self)))),
            Ok(_) => {
                let number = line.join();
                let deadline = now.after(self.settings.wait);
                let bulkhead = Arc::clone(self);
                Ok(Entry::Waiting(Ticket { bulkhead, number, deadline, served: Served::NotYet }))
            }
        }
    }

    /// Somebody steps out: quietly if nobody waits, else by handing the place over.
    fn leave(&self) {
        if self.update(|word| (waiting(word) == 0).then_some(word - INSIDE)).is_err() {
            self.hand_over();
        }
    }

    fn hand_over(&self) {
        let mut line = lock(&self.line);
        let Some(first) = line.waiting.pop_front() else {
            // The last one who waited gave up before we had the lock, and nobody can join while we hold it.
            self.word.fetch_sub(INSIDE, Ordering::AcqRel);
            return;
        };
        self.word.fetch_sub(WAITING, Ordering::AcqRel);
        drop(line);
        // Outside the lock: a waker is somebody else's code.
        if let Some(waker) = first.waker {
            waker.wake();
        }
    }

    fn has_room(&self, word: u64) -> bool {
        waiting(word) == 0 && inside(word) < self.settings.max
    }

    fn update(&self, next: impl FnMut(u64) -> Option<u64>) -> Result<u64, u64> {
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
    }
}

impl Line {
    fn join(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { number, waker: None });
        number
    }

    /// Where a number stands. Who does not stand in the line any more has been handed a place.
    fn position(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |waiting| waiting.number).ok()
    }
}

impl Ticket {
    /// When the wait is over.
    pub fn deadline(&self) -> Tick {
        self.deadline
    }

    /// Takes the place if it has been handed over. Never blocks; none after it was taken.
    pub fn try_enter(&mut self) -> Option<Place> {
        self.poll_place(None)
    }

    /// Leaves the line because the wait ran out.
    pub fn give_up(self) -> Denial {
        Denial::BulkheadTimeout
    }

    fn poll_place(&mut self, waker: Option<&Waker>) -> Option<Place> {
        if self.served == Served::Yes {
            return None;
        }
        let mut line = lock(&self.bulkhead.line);
        let waiting = line.position(self.number).and_then(|position| line.waiting.get_mut(position));
        if let Some(waiting) = waiting {
            let old = waker.and_then(|waker| waiting.waker.replace(waker.clone()));
            drop(line);
            // A waker's drop is somebody else's code: it may drop a task that holds a ticket for this very line.
            drop(old);
            return None;
        }
        drop(line);
        self.served = Served::Yes;
        Some(Place(Arc::clone(&self.bulkhead)))
    }
}

impl Future for Ticket {
    type Output = Place;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Place> {
        self.poll_place(Some(context.waker())).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.served == Served::Yes {
            return;
        }
        let mut line = lock(&self.bulkhead.line);
        let Some(position) = line.position(self.number) else {
            // Our turn came and we are gone: the place goes to the next.
            drop(line);
            return self.bulkhead.leave();
        };
        let left = line.waiting.remove(position);
        self.bulkhead.word.fetch_sub(WAITING, Ordering::AcqRel);
        drop(line);
        drop(left);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

fn inside(word: u64) -> u32 {
    u32::try_from(word >> 32).unwrap_or(u32::MAX)
}

fn waiting(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
