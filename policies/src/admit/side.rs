//! Which side of a migration a caller is on. Sticky, and nested: who moved at 5 % stays moved at 25 %.

use super::Ask;
use super::caller::{Caller, Counted};
use crate::document::words::By;
use crate::headers::cookie;
use crate::plan::{Migration, Mode, Side};
use crate::state::stable_hash;
use crate::why::Witness;

/// The cookie that keeps callers nobody knows on their side: 16 hexadecimal digits.
pub const COOKIE: &str = "banyan_side";

/// Which side, and how it stays that way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moved {
    /// The new side answers.
    ToNew(Stick),
    /// The old side answers.
    StaysOld(Stick),
}

/// What keeps the caller there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stick {
    /// What we know of the caller.
    Known,
    /// A cookie with this value, to be set with the answer.
    SetCookie(u64),
}

impl Moved {
    pub(super) fn side(self, migration: &Migration) -> &Side {
        match self {
            Self::ToNew(_) => &migration.to,
            Self::StaysOld(_) => &migration.from,
        }
    }
}

pub(super) fn choose(migration: &Migration, caller: &Caller, ask: &Ask<'_>, why: &mut impl Witness) -> Moved {
    let (place, stick) = place(&migration.stick_to, caller, ask);
    let share = migration.share;
    let inside = share.holds(place);
    why.note("migrate", || {
        let side = if inside { "the new side" } else { "the old side" };
        let percent = (place >> 32) as f64 / f64::from(u32::MAX) * 100.0;
        format!("the caller stands at {percent:.2}% and the share is {share}: {side}")
    });
    if inside && migration.mode == Mode::Enforce { Moved::ToNew(stick) } else { Moved::StaysOld(stick) }
}

/// Where a caller stands between nothing and all. The same in every replica, after every reload, at every stage.
fn place(by: &By, caller: &Caller, ask: &Ask<'_>) -> (u64, Stick) {
    let headers = &ask.incoming.head.headers;
    let known = match by {
        By::Address => Some(Counted::Address(caller.address)),
        By::Claim(path) => {
            let claims = caller.claims.as_ref();
            claims
                .and_then(|claims| claims.all.get(path))
                .and_then(serde_json::Value::as_str)
                .map(Counted::Claim)
        }
        By::Cookie(name) => cookie::find(headers, name).map(Counted::Cookie),
        By::Header(name) => headers.get(name).map(|value| Counted::Header(value.as_bytes())),
        By::Key => caller.key.as_ref().map(|key| Counted::Key(&key.name)),
        By::Peer => caller.peer.as_ref().map(|peer| Counted::Peer(peer.as_str())),
        By::Route => Some(Counted::Everyone),
        By::User => caller.user(),
    };
    if let Some(known) = known {
        return (stable_hash(&known), Stick::Known);
    }
    let ours = cookie::find(headers, COOKIE).filter(|value| value.len() == 16);
    match ours.and_then(|value| u64::from_str_radix(value, 16).ok()) {
        Some(place) => (place, Stick::Known),
        None => (ask.roll, Stick::SetCookie(ask.roll)),
    }
}
