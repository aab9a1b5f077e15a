//! Does, at the edge, on Pingora. Holds no rule: what shall happen is decided by `policies`.
//!
//! Read `gateway.rs` first: it starts everything and stops it. Then a request in order: `listen` (sockets, TLS, caps) ->
//! `connection` (waits for a head, vets it) -> `proxy` (Pingora's phases, translated) -> `exchange` (one request's life,
//! in words no engine knows) -> `policies`. Modules stand in the order of who may know whom.

pub mod commands;
pub mod gateway;
pub mod admin;
pub mod sight;
pub mod explain;
pub mod connection;
pub mod proxy;
pub mod exchange;
pub mod reload;
pub mod keys;
pub mod store;
pub mod upstream;
pub mod listen;
pub mod telemetry;
pub mod settings;
pub mod sources;
pub mod clock;
