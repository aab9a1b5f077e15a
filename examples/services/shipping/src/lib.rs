//! Sends what was ordered.
