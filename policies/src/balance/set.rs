//! The endpoints of one target at one moment, and the pick among them.
//!
//! A set never changes: when endpoints come and go, [`Set::succeed`] makes the next one, which shares the living
//! state of every endpoint that stays.

use std::{net::SocketAddr, sync::Arc};

use super::{
    EndpointState, Flight, Policy, Settings, key_hash,
    rendezvous::score,
    rolls::{Rolls, mix, unit},
    schedule::turns,
};
use crate::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Tick,
};

/// How many pairs are drawn before the endpoints are looked through one by one. With half of them out of service,
/// three draws still find somebody in 98 of 100 picks.
const DRAWS: u32 = 3;

/// An endpoint as discovery lists it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Listed {
    /// Its stable name: what its state is kept under and what consistent hashing hashes. Usually the address.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its capacity relative to the others; zero is taken as one.
    pub weight: u32,
}

/// An endpoint in a set.
pub struct Endpoint {
    /// As discovery listed it.
    pub listed: Listed,
    /// Its living state.
    pub state: Arc<EndpointState>,
    name_hash: u64,
}

/// What a pick goes by besides the endpoints themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// A random number.
    pub roll: u64,
    /// The time.
    pub now: Tick,
    /// The key's hash (see [`key_hash`]), for [`Policy::Hash`].
    pub hash: Option<u64>,
    /// Who was already tried for this request: avoided as long as there is somebody else.
    pub avoid: &'a [usize],
}

/// The endpoints of one target.
pub struct Set {
    settings: Settings,
    endpoints: Box<[Endpoint]>,
    turns: Box<[usize]>,
    turn: AtomicUsize,
}

/// Whom a pick may return; tried in this order.
#[derive(Clone, Copy)]
enum Group {
    InServiceUntried,
    InService,
    NotFailedUntried,
    NotFailed,
}

impl Set {
    /// The first set of a target: its endpoints take their full share at once, since all are equally new.
    pub fn new(settings: Settings, listed: Vec<Listed>) -> Self {
        Self::build(settings, listed, |_| Arc::new(EndpointState::established()))
    }

    /// The next set: endpoints that stay (by name) keep their state, new ones start slowly.
    #[must_use]
    pub fn succeed(&self, settings: Settings, listed: Vec<Listed>, now: Tick) -> Self {
        Self::build(settings, listed, |name| {
            let old = self.endpoints.iter().find(|old| old.listed.name == name);
            old.map_or_else(|| Arc::new(EndpointState::fresh(now)), |old| Arc::clone(&old.state))
        })
    }

    fn build(settings: Settings, listed: Vec<Listed>, state: impl Fn(&str) -> Arc<EndpointState>) -> Self {
        let weights: Vec<_> = listed.iter().map(|one| one.weight).collect();
        let endpoint = |listed: Listed| Endpoint {
            state: state(&listed.name),
            name_hash: key_hash(listed.name.as_bytes()),
            listed,
        };
        Self {
            settings,
            endpoints: listed.into_iter().map(endpoint).collect(),
            turns: turns(&weights),
            turn: AtomicUsize::new(0),
        }
    }

    /// The endpoints, in the order of the listing: [`Set::pick`] returns positions in it.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How the set was told to balance.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who gets the call; none only if every endpoint fails its health probe, or there is no endpoint.
    pub fn pick(&self, ask: &Ask<'_>) -> Option<usize> {
        const GROUPS: [Group; 4] =
            [Group::InServiceUntried, Group::InService, Group::NotFailedUntried, Group::NotFailed];
        GROUPS.into_iter().find_map(|group| match (self.settings.policy, ask.hash) {
            (Policy::Hash, Some(hash)) => self.highest(hash, group, ask),
            (Policy::Hash, None) | (Policy::LeastLoad, _) => self.lighter_of_two(group, ask),
            (Policy::RoundRobin, _) => self.next_in_turn(group, ask),
        })
    }

    /// Counts a call to a picked endpoint as in flight; none if `index` is not from this set.
    pub fn depart(&self, index: usize, now: Tick) -> Option<Flight> {
        let endpoint = self.endpoints.get(index)?;
        Some(Flight::depart(&endpoint.state, now, self.settings.half_life))
    }

    /// Power of two choices: almost as good as looking at all, and two threads rarely flock to the same one.
    fn lighter_of_two(&self, group: Group, ask: &Ask<'_>) -> Option<usize> {
        let count = self.endpoints.len();
        let mut rolls = Rolls(ask.roll);
        let mut found = None;
        // Of one there is nothing to draw a second time.
        let draws = if count == 1 { 1 } else { DRAWS };
        for _ in 0..draws {
            let one = rolls.below(count);
            let other = (one + 1 + rolls.below(count.saturating_sub(1))) % count.max(1);
            for drawn in [one, other] {
                if found == Some(drawn) || !self.may_take(drawn, group, ask) {
                    continue;
                }
                match found {
                    None => found = Some(drawn),
                    Some(first) => return Some(self.lighter(first, drawn, ask)),
                }
            }
        }
        found.or_else(|| self.any(group, ask, rolls.below(count)))
    }

    /// Of equals the first, which was drawn at random.
    fn lighter(&self, first: usize, second: usize, ask: &Ask<'_>) -> usize {
        if self.load(second, ask.now) < self.load(first, ask.now) { second } else { first }
    }

    fn load(&self, index: usize, now: Tick) -> f64 {
        self.endpoints.get(index).map_or(f64::INFINITY, |endpoint| {
            endpoint.state.load(now, self.settings.half_life) / f64::from(endpoint.listed.weight.max(1))
        })
    }

    fn next_in_turn(&self, group: Group, ask: &Ask<'_>) -> Option<usize> {
        // An endpoint that is skipped uses up its turn. If its neighbour took the turn and then its own, the
        // neighbour would carry the load of two.
        (0..2 * self.endpoints.len())
            .filter_map(|_| {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                self.turns.get(turn % self.turns.len().max(1)).copied()
            })
            .find(|index| self.may_take(*index, group, ask))
            .or_else(|| self.any(group, ask, 0))
    }

    fn highest(&self, key: u64, group: Group, ask: &Ask<'_>) -> Option<usize> {
        let scored = |(index, endpoint): (usize, &Endpoint)| {
            self.belongs(index, group, ask)
                .then(|| (index, score(key, endpoint.name_hash, endpoint.listed.weight.max(1))))
        };
        let drawn = self.endpoints.iter().enumerate().filter_map(scored);
        drawn.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
    }

    /// The first of the group, looking from `from` on, whether or not slow start holds it back.
    fn any(&self, group: Group, ask: &Ask<'_>, from: usize) -> Option<usize> {
        let count = self.endpoints.len();
        (from..from + count).map(|index| index % count).find(|index| self.belongs(*index, group, ask))
    }

    /// Belongs to the group, and slow start lets it through this time.
    fn may_take(&self, index: usize, group: Group, ask: &Ask<'_>) -> bool {
        self.belongs(index, group, ask) && self.ramped_up(index, ask)
    }

    fn belongs(&self, index: usize, group: Group, ask: &Ask<'_>) -> bool {
        let Some(endpoint) = self.endpoints.get(index) else { return false };
        let untried = || !ask.avoid.contains(&index);
        match group {
            Group::InServiceUntried => endpoint.state.in_service(ask.now) && untried(),
            Group::InService => endpoint.state.in_service(ask.now),
            Group::NotFailedUntried => !endpoint.state.is_failed() && untried(),
            Group::NotFailed => !endpoint.state.is_failed(),
        }
    }

    /// Slow start by chance: a fresh endpoint stands for choice in a growing share of picks. Holding its *load* up
    /// instead would keep it empty until the others are full. One number per endpoint and pick, so that drawing
    /// it twice does not double its chance.
    fn ramped_up(&self, index: usize, ask: &Ask<'_>) -> bool {
        let Some(endpoint) = self.endpoints.get(index) else { return false };
        let ramp = endpoint.state.ramp(ask.now, self.settings.slow_start);
        ramp >= 1.0 || unit(mix(ask.roll ^ endpoint.name_hash)) < ramp
    }
}
