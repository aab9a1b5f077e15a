//! What one replica knows about one caller of a shared limit, and what it does next.

use std::time::Duration;

use super::{Answer, Ask, Spend, Terms};
use crate::limit::table::Lapses;
use crate::time::Tick;

/// What we know of the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Store {
    Answers,
    Doubtful,
    Down,
}

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
    pub(super) waiting_for: u32,
    /// What requests that wait need beyond the question under way.
    needed: u32,
    /// The last answer was less than was asked for: no credit until one is not.
    short: bool,
    /// When the store was asked last.
    asked: Tick,
    /// When the permits in hand lapse, and a question counts as lost.
    ends: Tick,
    /// Until when the store has nothing.
    dry_until: Tick,
    /// When all of this is forgotten. A debt or a refusal is kept until the store's bucket could be full again:
    /// forgotten sooner, a caller could have new credit again and again.
    keep_until: Tick,
}

impl Lapses for Lease {
    fn lapses_at(&self) -> Tick {
        self.keep_until
    }
}

impl Lease {
    pub(super) fn spend(&mut self, terms: &Terms, cost: u32, now: Tick, store: Store) -> Spend {
        self.lapse(now);
        if self.left >= cost {
            self.left -= cost;
            let low = self.left <= self.batch / 2 && store != Store::Down;
            return Spend { answer: Answer::Allowed, ask: if low { self.ask(terms, 0, now) } else { None } };
        }
        if now < self.dry_until {
            return Spend { answer: Answer::Limited { retry_after: self.dry_until.since(now) }, ask: None };
        }
        let instead = terms.if_store_down;
        match store {
            Store::Answers if !self.short && self.owed.saturating_add(cost) <= terms.credit => {
                self.owed += cost;
                Spend { answer: Answer::Allowed, ask: self.ask(terms, 0, now) }
            }
            Store::Answers => {
                self.needed = self.needed.saturating_add(cost);
                Spend {
                    answer: Answer::NeedsLease { otherwise: instead },
                    ask: self.ask(terms, self.needed, now),
                }
            }
            Store::Doubtful => {
                Spend { answer: Answer::StoreDown { instead }, ask: self.ask(terms, cost, now) }
            }
            Store::Down => Spend { answer: Answer::StoreDown { instead }, ask: None },
        }
    }

    pub(super) fn merge(
        &mut self,
        terms: &Terms,
        granted: u32,
        retry_after: Duration,
        now: Tick,
    ) -> Option<Ask> {
        if self.waiting_for == 0 {
            // The answer to a question that was given up: its permits are lost, which is the safe side.
            return None;
        }
        self.short = granted < self.waiting_for;
        self.waiting_for = 0;
        let paid = granted.min(self.owed);
        self.owed -= paid;
        self.left = self.left.saturating_add(granted - paid);
        if self.short {
            self.dry_until = now.after(retry_after);
            self.keep_until = now.after(terms.gcra.fill()).max(self.ends);
        }
        let more = self.owed > 0 || self.needed > self.left;
        if more { self.ask(terms, self.needed, now) } else { None }
    }

    pub(super) fn put_back(&mut self, cost: u32) {
        // What was let in on credit is still owed; a permit in hand and a permit owed cancel out later.
        let unowed = cost.min(self.owed);
        self.owed -= unowed;
        self.left = self.left.saturating_add(cost - unowed);
    }

    /// Lets permits and questions go that are older than the hold, and all else when its time has come.
    fn lapse(&mut self, now: Tick) {
        if now >= self.ends {
            self.batch = self.batch.saturating_sub(self.left);
            (self.left, self.waiting_for, self.needed) = (0, 0, 0);
        }
        if now >= self.keep_until {
            (self.owed, self.short) = (0, false);
        }
    }

    /// Asks for what is owed, and for as many more as make a batch, or as waiting requests need.
    fn ask(&mut self, terms: &Terms, needed: u32, now: Tick) -> Option<Ask> {
        if self.waiting_for > 0 || now < self.dry_until {
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
        (self.waiting_for, self.needed) = (want, 0);
        (self.asked, self.ends) = (now, now.after(terms.hold));
        self.keep_until = self.keep_until.max(self.ends);
        Some(Ask { want })
    }
}
