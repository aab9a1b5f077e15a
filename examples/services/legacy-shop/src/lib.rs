//! The monolith the shop grew up as.
