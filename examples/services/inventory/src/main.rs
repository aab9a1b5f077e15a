//! What is in stock; never promises more.

fn main() {}
