//! Does, beside a service, on hyper, tower and rustls. Holds no rule: what shall happen is decided by `policies`.
//!
//! Read `sidecar.rs` first: it starts everything and stops it. Then a connection: `inbound` (from the mesh to the app) and
//! `outbound` (from the app to what it calls) -> `connection` (HTTP: waits for a head, vets it) or `opaque` (bytes) ->
//! `carry` (one request) -> `shell::exchange` (its life, in words no engine knows) -> `policies`. Modules stand in the order
//! of who may know whom.

pub mod sidecar;
pub mod sight;
pub mod listeners;
pub mod inbound;
pub mod outbound;
pub mod opaque;
pub mod connection;
pub mod carry;
mod undeclared;
pub mod lent;
pub mod tunnel;
pub mod body;
pub mod client;
pub mod counts;
pub mod settings;
