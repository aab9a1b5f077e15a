//! Who the shoppers are; issues their tokens.

fn main() {}
