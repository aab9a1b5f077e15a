//! What shoppers say of products.

fn main() {}
