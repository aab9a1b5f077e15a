//! Stories: sidecars, apps, callers, over real sockets on loopback. All in one program, in parallel.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]

mod actor;
mod amplifies;
mod calls;
mod carries;
mod endures;
mod heard;
mod lives;
mod mesh;
mod pays;
mod sheds;
mod streams;
mod strict;
mod transparent;
mod world;
