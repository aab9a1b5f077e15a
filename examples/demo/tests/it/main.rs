//! Stories of the demo's own program: told with small programs in the place of the shop.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says where"
)]

mod documents;
mod lives;
mod traces;
mod walks;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The program under test.
fn own() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_shop-demo"))
}

/// Asks until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < until, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
