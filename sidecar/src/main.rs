//! The seat of this program; it stands empty until its own work begins.

fn main() {}
