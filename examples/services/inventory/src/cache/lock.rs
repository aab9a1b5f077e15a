//! A lock in Redis, with a *fencing token*.
//!
//! A lock that runs out is no lock: its holder may sleep (a slow disk, a paused machine) past the time it has, and wake up
//! believing that it holds it still. So every turn gets a number higher than all before, and whoever is written to
//! compares: Redis knows the number given out last, the database the highest it has seen. A sleeper's number is lower, and
//! its writes are refused. See <https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html>.

use std::sync::Arc;
use std::time::Duration;

use fred::error::Error;
use uuid::Uuid;

use super::link::Link;

/// The lock, held; perhaps not any more.
#[derive(Debug)]
pub(super) struct Held {
    link: Arc<Link>,
    name: &'static str,
    owner: String,
    /// Higher than that of all who held it before.
    pub(super) token: i64,
}

/// Takes the lock for this long. `above` is the highest token the database has seen: Redis may have lost its memory.
pub(super) async fn lock(
    link: &Arc<Link>,
    name: &'static str,
    held_for: Duration,
    above: i64,
) -> Result<Option<Held>, Error> {
    let owner = Uuid::new_v4().to_string();
    let token = link.lock(name, &owner, held_for, above).await?;
    Ok(token.map(|token| Held { link: link.clone(), name, owner, token }))
}

impl Held {
    /// Gives it back, unless it ran out and is somebody else's by now.
    pub(super) async fn unlock(self) -> Result<(), Error> {
        self.link.unlock(self.name, &self.owner).await
    }
}
