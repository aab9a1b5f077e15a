//! The catalogue and its search.

fn main() {}
