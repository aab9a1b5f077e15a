//! The monolith the shop grew up as.

fn main() {}
