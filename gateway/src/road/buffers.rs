//! Buffers of a worker's thread: taken with the first byte of a request or an answer, given back with the last. A connection
//! that rests has none, and a busy one asks nobody for memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use bytes::BytesMut;

/// Read at once.
pub const BYTES: usize = 16 * 1024;
/// One that grew larger, for a large head or a slow target, is not kept.
const BYTES_MAX: usize = 64 * 1024;
/// So many are kept for later: as many requests may be on their way at once before memory is asked for.
const FREE_MAX: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that goes back to its thread. One by default has no room, and is nobody's.
#[derive(Debug, Default)]
pub struct Buffer(BytesMut);

impl Buffer {
    /// An empty one with room for [`BYTES`].
    pub fn take() -> Self {
        let free = FREE.try_with(|free| free.borrow_mut().pop());
        Self(free.ok().flatten().unwrap_or_else(|| BytesMut::with_capacity(BYTES)))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // Pieces of it may still be on their way somewhere: then it is theirs.
        if !buffer.try_reclaim(BYTES) || buffer.capacity() > BYTES_MAX {
            return;
        }
        // A thread that ends has nothing to keep.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < FREE_MAX {
                free.push(buffer);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> usize {
        FREE.with_borrow(Vec::len)
    }

    #[test]
    fn a_buffer_comes_back_empty_unless_a_piece_of_it_is_kept() {
        let mut buffer = Buffer::take();
        buffer.extend_from_slice(b"head and body");
        let at = buffer.as_ptr();
        let piece = buffer.split_to(4).freeze();
        drop(piece);
        drop(buffer);
        assert_eq!(free(), 1);
        let mut buffer = Buffer::take();
        assert_eq!((free(), buffer.len(), buffer.as_ptr()), (0, 0, at));
        assert!(buffer.capacity() >= BYTES);
        buffer.extend_from_slice(b"head");
        let piece = buffer.split_to(4).freeze();
        drop(buffer);
        assert_eq!((free(), &piece[..]), (0, &b"head"[..]));
    }

    #[test]
    fn neither_many_nor_large_ones_are_kept() {
        let mut large = Buffer::take();
        large.resize(BYTES_MAX + 1, 0);
        drop(large);
        assert_eq!(free(), 0);
        drop((0..FREE_MAX + 10).map(|_| Buffer::take()).collect::<Vec<_>>());
        assert_eq!(free(), FREE_MAX);
    }
}
