//! What both proxies do around the policies, written once: plans over time, keys, names, health, shared limits, sockets, one
//! request's life, telemetry, the admin pages. It holds no rule: each room asks `policies`. It names no engine either:
//! Pingora and hyper stay in the crates that chose them.
//!
//! Read `exchange` first: one request, in words no engine knows. Modules stand in the order of who may know whom.

pub mod commands;
pub mod house;
pub mod admin;
pub mod sight;
pub mod explain;
pub mod exchange;
pub mod tunnel;
pub mod reload;
pub mod keys;
pub mod store;
pub mod upstream;
pub mod listen;
pub mod mesh;
pub mod telemetry;
pub mod signals;
pub mod sources;
pub mod clock;
pub mod alarm;
