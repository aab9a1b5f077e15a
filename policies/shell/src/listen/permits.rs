//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Shards of the table of addresses: connections come far more seldom than requests, and hardly ever two at once here.
const SHARDS: usize = 16;

/// The caps, and what is open under them.
#[derive(Debug)]
pub struct Permits {
    max: usize,
    per_address_max: usize,
    open: AtomicUsize,
    hasher: RandomState,
    addresses: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
}

/// Room for one connection, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    permits: Arc<Permits>,
    address: Option<IpAddr>,
}

/// Which cap is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// That of one address.
    Address,
    /// That of all.
    Global,
}

impl Permits {
    /// Nobody is connected.
    pub fn new(max: usize, per_address_max: usize) -> Self {
        Self {
            max,
            per_address_max,
            open: AtomicUsize::new(0),
            hasher: RandomState::new(),
            addresses: Default::default(),
        }
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Room for one more from this address; unix sockets have none.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Full> {
        let step = |open: usize| (open < self.max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).map_err(|_| Full::Global)?;
        // From here on a drop gives the global place back.
        let mut permit = Permit { permits: self.clone(), address: None };
        if let Some(address) = address.map(super::counted) {
            let mut shard = self.shard(address).lock().unwrap_or_else(PoisonError::into_inner);
            let open = shard.entry(address).or_default();
            if *open >= self.per_address_max {
                return Err(Full::Address);
            }
            *open += 1;
            permit.address = Some(address);
        }
        Ok(permit)
    }

    fn shard(&self, address: IpAddr) -> &Mutex<HashMap<IpAddr, usize>> {
        let at = usize::try_from(self.hasher.hash_one(address) % SHARDS as u64).unwrap_or_default();
        let [first, ..] = &self.addresses;
        self.addresses.get(at).unwrap_or(first)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut shard = self.permits.shard(address).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = shard.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                shard.remove(&address);
            }
        }
    }
}
