//! Does, at the edge, on Pingora. Holds no rule: what shall happen is decided by `policies`.
//!
//! Read `gateway.rs` first: it starts everything and stops it. Then a request in order: `shell::listen` (sockets, TLS, caps) ->
//! `connection` (waits for a head, vets it) -> `proxy` (Pingora's phases, translated) or `road` (one function) -> `shell::exchange` (one request's
//! life, in words no engine knows) -> `policies`. Modules stand in the order of who may know whom.

pub mod gateway;
pub mod connection;
pub mod proxy;
pub mod road;
pub mod lent;
pub mod peer;
pub mod settings;
