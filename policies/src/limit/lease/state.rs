//! What one replica knows about one caller of a shared limit, and what it does next.
//!
//! A lease is permits in hand, permits owed, and a model of the store's bucket as the last answer left it. Others take
//! from that bucket too, so it holds at most what the model says: the model refuses rightly and allows hopefully.

use std::time::Duration;

use super::{Answer, Ask, Spend, Store, Terms};
use crate::limit::Outcome;
use crate::limit::table::Lapses;
use crate::time::Tick;

/// How long somebody is told to stay away who has used up lease and credit while the store was being asked.
const A_MOMENT: Duration = Duration::from_millis(100);

/// How many times the bucket's filling time a debt is remembered. A caller who spends at one replica what he owes at
/// another gets that credit anew when it is forgotten: after eight fillings, an eighth of the rate at most.
const DEBT_KEPT: u32 = 8;

/// What this replica knows about one caller.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Lease {
    /// Permits in hand.
    left: u32,
    /// Permits let in before the store was asked. Paid from the next grant.
    owed: u32,
    /// How many permits to hold in advance: doubles while they go fast, falls by what lapses unused.
    batch: u32,
    /// What the question under way asks for; zero if there is none.
    waiting_for: u32,
    /// When the store's bucket is full, if nobody else takes from it.
    full_at: Tick,
    /// When the store was asked last. Permits and questions lapse one hold later.
    asked: Tick,
    /// When all of this is forgotten.
    keep_until: Tick,
}

impl Lapses for Lease {
    fn lapses_at(&self) -> Tick {
        self.keep_until
    }
}

impl Lease {
    pub(super) fn spend(&mut self, terms: &Terms, cost: u32, now: Tick, store: Store) -> Spend {
        if now >= self.asked.after(terms.hold) {
            // A question without an answer counts as lost, and permits nobody used as lapsed.
            self.batch = self.batch.saturating_sub(self.left);
            (self.left, self.waiting_for) = (0, 0);
        }
        if !terms.gcra.affords(cost) {
            return self.limited(terms, terms.gcra.fill(), now, None);
        }
        if self.left >= cost {
            self.left -= cost;
            let low = self.left <= self.batch / 2 && store == Store::Answers;
            let ask = if low && cost > 0 { self.ask(terms, 0, now) } else { None };
            return self.allowed(terms, now, ask);
        }
        if store == Store::Down {
            return Spend { answer: Answer::StoreDown, ask: None };
        }
        let due = self.owed.saturating_add(cost);
        let (_, modelled) = terms.gcra.take(self.full_at, due, now);
        if let Outcome::Limited { retry_after, .. } = modelled {
            return self.limited(terms, retry_after, now, None);
        }
        if due > terms.credit() {
            let ask = self.ask(terms, cost, now);
            return self.limited(terms, A_MOMENT, now, ask);
        }
        self.owed = due;
        let ask = self.ask(terms, 0, now);
        self.remember(terms, now);
        self.allowed(terms, now, ask)
    }

    pub(super) fn merge(&mut self, terms: &Terms, granted: u32, full_in: Duration, now: Tick) -> Option<Ask> {
        if self.waiting_for == 0 {
            // The answer to a question that was given up: its permits are lost, which is the safe side.
            return None;
        }
        self.waiting_for = 0;
        self.full_at = now.after(full_in);
        let paid = granted.min(self.owed);
        self.owed -= paid;
        self.left = self.left.saturating_add(granted - paid);
        self.remember(terms, now);
        if self.owed > 0 { self.ask(terms, 0, now) } else { None }
    }

    pub(super) fn unanswered(&mut self) {
        self.waiting_for = 0;
    }

    pub(super) fn put_back(&mut self, cost: u32) {
        // What was let in on credit is still owed; a permit in hand and a permit owed cancel out later.
        let unowed = cost.min(self.owed);
        self.owed -= unowed;
        self.left = self.left.saturating_add(cost - unowed);
    }

    /// Asks for what is owed, and for as many more as make a batch, or as this request needs.
    fn ask(&mut self, terms: &Terms, needed: u32, now: Tick) -> Option<Ask> {
        if self.waiting_for > 0 || self.in_store(terms, now) == 0 {
            return None;
        }
        if now.since(self.asked) < terms.hold / 2 {
            self.batch = self.batch.saturating_mul(2).clamp(1, terms.batch_max);
        }
        let more = self.batch.max(needed).saturating_sub(self.left);
        let want = self.owed.saturating_add(more).min(terms.gcra.burst());
        if want == 0 {
            return None;
        }
        (self.waiting_for, self.asked) = (want, now);
        self.keep_until = self.keep_until.max(now.after(terms.hold));
        Some(Ask { want })
    }

    /// A debt is kept long; a model of the store until it says "full", which is what nothing known says as well.
    fn remember(&mut self, terms: &Terms, now: Tick) {
        self.keep_until = match self.owed {
            0 => self.full_at.max(self.asked.after(terms.hold)),
            _ => now.after(terms.gcra.fill().saturating_mul(DEBT_KEPT).max(terms.hold)),
        };
    }

    /// The most permits the store can have.
    fn in_store(&self, terms: &Terms, now: Tick) -> u32 {
        match terms.gcra.take(self.full_at, 0, now).1 {
            Outcome::Allowed { remaining, .. } => remaining,
            Outcome::Limited { .. } => 0,
        }
    }

    fn allowed(&self, terms: &Terms, now: Tick, ask: Option<Ask>) -> Spend {
        let remaining = self.in_store(terms, now).saturating_add(self.left).saturating_sub(self.owed);
        let reset_after = self.full_after(terms, now);
        Spend { answer: Answer::Counted(Outcome::Allowed { remaining, reset_after }), ask }
    }

    fn limited(&self, terms: &Terms, retry_after: Duration, now: Tick, ask: Option<Ask>) -> Spend {
        let reset_after = self.full_after(terms, now);
        Spend { answer: Answer::Counted(Outcome::Limited { retry_after, reset_after }), ask }
    }

    /// When the store's bucket is full again once everything owed is paid.
    fn full_after(&self, terms: &Terms, now: Tick) -> Duration {
        self.full_at.since(now).saturating_add(terms.gcra.interval().saturating_mul(self.owed))
    }
}
