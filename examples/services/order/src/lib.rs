//! Takes orders and sees them through: a saga, its events, its outbox.
