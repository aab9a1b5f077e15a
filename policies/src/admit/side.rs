//! Which side of a migration a caller is on. Sticky, and nested: who moved at 5 % stays moved at 25 %.

use super::Ask;
use super::caller::Caller;
use crate::headers::cookie;
use crate::plan::{CountedBy, Migration, Mode, Side};
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
    // Who only looks on leaves no cookie behind either.
    let stick = if migration.mode == Mode::Observe { Stick::Known } else { stick };
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
fn place(by: &CountedBy, caller: &Caller, ask: &Ask<'_>) -> (u64, Stick) {
    if let Some(known) = caller.known(by, ask) {
        return (stable_hash(&known), Stick::Known);
    }
    let headers = &ask.incoming.head.headers;
    let ours = cookie::find(headers, COOKIE).filter(|value| value.len() == 16);
    match ours.and_then(|value| u64::from_str_radix(value, 16).ok()) {
        Some(place) => (place, Stick::Known),
        None => (ask.roll, Stick::SetCookie(ask.roll)),
    }
}
