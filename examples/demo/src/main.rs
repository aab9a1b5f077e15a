//! Runs the whole shop behind the two proxies, and tells its story.

fn main() {}
