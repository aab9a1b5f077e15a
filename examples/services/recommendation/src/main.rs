//! What is bought together.

fn main() {}
