//! Stories: a gateway, services, clients, over real sockets on loopback. All in one program, in parallel.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]

mod admin;
mod asks;
mod both_roads;
mod collector;
mod copies;
mod decides;
mod doors;
mod endures;
mod keys;
mod outside;
mod reloads;
mod serves;
mod shared;
mod streams;
mod strict;
mod tls;
mod unread;
mod upstreams;
mod world;
