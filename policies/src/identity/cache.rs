//! Tokens that were verified lately, so that the next request with the same token costs no cryptography.
//!
//! Only good tokens are kept. A memory of bad ones would be filled by whoever varies one byte of a token, would have
//! to be as large as the attack to help, and could push good tokens out; a bad token costs one signature check, and
//! limits exist for callers who send many.
//!
//! What is found here still has to be timely and signed by a key that is still believed: `verify.rs` asks both. The
//! table is bounded in entries and in bytes; under pressure the entries not seen lately go first.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use super::claims::Claims;
use super::issuer::IssuerPrint;
use super::keys::KeyPrint;
use crate::sync::{Mutex, lock};
use crate::time::Tick;

/// Four for each core of a 16-core machine, so that two threads seldom want the same one. Must be a power of two.
const SHARDS: u64 = 64;

/// The end of a token is the end of its signature, which is as good as random; 48 characters hold 288 bits of it. So
/// hashing the rest would spread nothing better, and the compare that follows a hit looks at every byte anyway.
const HASHED_BYTES: usize = 48;

/// How much the cache may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenCacheSettings {
    /// At most this many tokens. Default 16,384: more callers than a gateway serves within ten minutes at the sizes
    /// it is built for.
    pub entries_max: usize,
    /// At most about this many bytes. Default 64 MiB: 4 KiB for each entry.
    pub bytes_max: usize,
    /// How long after it was verified a token is believed without looking at its signature again. Default 10 min.
    pub believe_for: Duration,
}

impl Default for TokenCacheSettings {
    fn default() -> Self {
        Self { entries_max: 16_384, bytes_max: 64 << 20, believe_for: Duration::from_secs(600) }
    }
}

/// What the cache holds and how it serves, for metrics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TokenCacheStatus {
    /// Tokens.
    pub entries: usize,
    /// Bytes, about.
    pub bytes: usize,
    /// Tokens that were found.
    pub hits: u64,
    /// Tokens that were not.
    pub misses: u64,
}

/// Verified tokens, shared by all threads and all issuers.
pub struct TokenCache {
    shards: Box<[Padded]>,
    hasher: RandomState,
    believe_for: Duration,
}

/// 128: processors fetch cache lines in pairs, and two locks on one pair would slow each other.
#[repr(align(128))]
struct Padded(Mutex<Shard>);

/// A part of the cache under its own lock. Eviction is a clock: a hand goes round the slots, spares those that were
/// seen since it last came by, and takes the first that was not.
struct Shard {
    index: HashTable<usize>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
    entries_max: usize,
    bytes_max: usize,
    hits: u64,
    misses: u64,
}

struct Slot {
    hash: u64,
    seen: Seen,
    issuer: IssuerPrint,
    token: Arc<str>,
    kept: Kept,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Seen {
    NotSince,
    Since,
}

/// What is remembered of a token.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) claims: Arc<Claims>,
    pub(super) key: KeyPrint,
    pub(super) verified: Tick,
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// An empty cache. The seeds must be random: with seeds an attacker knows, tokens could be chosen to meet.
    pub fn new(settings: TokenCacheSettings, seeds: [u64; 4]) -> Self {
        let [a, b, c, d] = seeds;
        let share = |total: usize| total.div_ceil(usize::try_from(SHARDS).unwrap_or(1)).max(1);
        let shard = || Shard::new(share(settings.entries_max), share(settings.bytes_max));
        Self {
            shards: (0..SHARDS).map(|_| Padded(Mutex::new(shard()))).collect(),
            hasher: RandomState::with_seeds(a, b, c, d),
            believe_for: settings.believe_for,
        }
    }

    /// What it holds and how it serves. Takes each shard's lock in turn, briefly.
    pub fn status(&self) -> TokenCacheStatus {
        self.shards.iter().fold(TokenCacheStatus::default(), |sum, shard| {
            let shard = lock(&shard.0);
            TokenCacheStatus {
                entries: sum.entries + shard.index.len(),
                bytes: sum.bytes + shard.bytes,
                hits: sum.hits + shard.hits,
                misses: sum.misses + shard.misses,
            }
        })
    }

    /// What is remembered of this token under this issuer's settings, and its text. Allocates nothing.
    pub(super) fn find(&self, issuer: IssuerPrint, token: &str, now: Tick) -> Option<(Arc<str>, Kept)> {
        let hash = self.hash(issuer, token);
        let found = lock(&self.shard(hash)?.0).find(hash, issuer, token);
        found.filter(|(_, kept)| self.believes(kept, now))
    }

    /// Was it verified so lately that nobody need look at its signature again?
    pub(super) fn believes(&self, kept: &Kept, now: Tick) -> bool {
        now.since(kept.verified) < self.believe_for
    }

    /// Remembers a token that was just verified.
    pub(super) fn keep(&self, issuer: IssuerPrint, token: Arc<str>, kept: Kept) {
        let hash = self.hash(issuer, &token);
        let slot = Slot { hash, seen: Seen::NotSince, issuer, token, kept };
        if let Some(shard) = self.shard(hash) {
            lock(&shard.0).keep(slot);
        }
    }

    fn hash(&self, issuer: IssuerPrint, token: &str) -> u64 {
        let bytes = token.as_bytes();
        let (_, end) = bytes.split_at(bytes.len().saturating_sub(HASHED_BYTES));
        self.hasher.hash_one((issuer, end))
    }

    /// By bits that the table inside the shard uses neither for its buckets nor for its tags.
    fn shard(&self, hash: u64) -> Option<&Padded> {
        self.shards.get(usize::try_from((hash >> 32) % SHARDS).ok()?)
    }
}

impl Shard {
    fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            entries_max,
            bytes_max,
            hits: 0,
            misses: 0,
        }
    }

    fn find(&mut self, hash: u64, issuer: IssuerPrint, token: &str) -> Option<(Arc<str>, Kept)> {
        let Some(place) = self.place(hash, issuer, token) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        let slot = self.slots.get_mut(place)?.as_mut()?;
        slot.seen = Seen::Since;
        Some((slot.token.clone(), slot.kept.clone()))
    }

    fn place(&self, hash: u64, issuer: IssuerPrint, token: &str) -> Option<usize> {
        let same = |slot: &Slot| slot.hash == hash && *slot.token == *token && slot.issuer == issuer;
        self.index
            .find(hash, |place| self.slots.get(*place).and_then(Option::as_ref).is_some_and(same))
            .copied()
    }

    fn keep(&mut self, slot: Slot) {
        if let Some(old) = self.place(slot.hash, slot.issuer, &slot.token) {
            self.remove(old);
        }
        // A token that would take a quarter of a shard is cheaper to verify again than to make room for.
        if slot.weight() > self.bytes_max / 4 {
            return;
        }
        while self.is_full_for(&slot) && !self.index.is_empty() {
            self.evict();
        }
        self.bytes += slot.weight();
        let hash = slot.hash;
        let place = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(place) {
            Some(empty) => *empty = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        let slots = &self.slots;
        self.index.insert_unique(hash, place, |place| {
            slots.get(*place).and_then(Option::as_ref).map_or(0, |s| s.hash)
        });
    }

    fn is_full_for(&self, slot: &Slot) -> bool {
        self.index.len() >= self.entries_max || self.bytes + slot.weight() > self.bytes_max
    }

    /// Takes one entry away. Ends: after one round every slot has lost its mark.
    fn evict(&mut self) {
        loop {
            let place = self.hand;
            self.hand = if place + 1 < self.slots.len() { place + 1 } else { 0 };
            match self.slots.get_mut(place) {
                Some(Some(slot)) if slot.seen == Seen::Since => slot.seen = Seen::NotSince,
                Some(Some(_)) => return self.remove(place),
                Some(None) => {}
                None => return,
            }
        }
    }

    fn remove(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place).and_then(Option::take) else { return };
        if let Ok(entry) = self.index.find_entry(slot.hash, |at| *at == place) {
            entry.remove();
        }
        self.bytes -= slot.weight();
        self.free.push(place);
    }
}

impl Slot {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.token.len() + self.kept.claims.weight()
    }
}
