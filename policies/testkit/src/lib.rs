//! What the stories of both proxies are told with: a client that sees bytes, services that do as the path says, authorities
//! that make certificates, and the requests nobody may forward. For tests only: what goes wrong panics, and says where.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]

mod authority;
mod client;
pub mod framing;
mod service;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use authority::{Authority, Pair};
pub use client::{Answer, Client};
pub use service::{Service, aside, service, service_at};

/// Nothing in a story takes longer than this, unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until it is so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file of the story's own.
pub fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}
