//! Figures about the shop, fed by its events.

fn main() {}
