//! Runs the whole shop behind the two proxies, and tells its story. One program owns all processes: it starts them,
//! says plainly when one crashes, and leaves none behind.
//!
//! Read [`shop`] first: what there is. Then [`demo`]: the life of a demo.

pub mod demo;
pub mod settings;

pub mod tour;

pub mod load;

pub mod summary;

pub mod shoppers;

pub mod collector;
pub mod ledger;
pub mod metrics;

pub mod programs;

pub mod servers;

pub mod policies;

pub mod processes;

pub mod process;
pub mod usage;

pub mod leash;
pub mod log;
pub mod port;

pub mod authority;
pub mod folder;
pub mod shop;
