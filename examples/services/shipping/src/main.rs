//! Sends what was ordered.

fn main() {}
