//! Charges once, however often it is asked.

fn main() {}
