//! The atomics and the lock that engines share between threads, in one place so that `--cfg loom` can swap them
//! for the model checker's. Engines take them from here and from nowhere else.

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

/// Locks, and goes on with what is there if another thread panicked while holding the lock: our sections under a
/// lock leave no half-written state behind, and one bad request must not stop the rest.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
