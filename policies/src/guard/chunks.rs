//! Where a chunked body ends, told from its bytes alone. What follows belongs to the next request, whatever a library would
//! have made of it. RFC 9112 §7.1, and no more than that: no bare line feeds, no spaces, no endless extensions or trailers.

use super::raw::is_token;

/// All extensions of a body together, and all its trailers: as much as hyper takes. Many small chunks with an extension each
/// are work for nothing.
const EXTENSIONS_BYTES_MAX: usize = 16 * 1024;
const TRAILERS_BYTES_MAX: usize = 16 * 1024;
/// Sixteen hexadecimal digits are 64 bits.
const DIGITS_MAX: u8 = 15;

/// Follows a message with a chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chunks {
    /// Bytes before the body: a head that was looked at already.
    lead: u64,
    /// Bytes of extensions so far.
    extensions: usize,
    at: At,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Size {
        digits: u8,
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// The beginning of a trailer's line, or the end.
    Trailer {
        bytes: usize,
    },
    /// In a trailer's name.
    InName {
        bytes: usize,
    },
    InTrailer {
        bytes: usize,
    },
    TrailerEnd {
        bytes: usize,
    },
    LastLf,
    Over,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece {
    /// So many of the body itself.
    Data(usize),
    /// So many around it: sizes, line ends.
    Frame(usize),
    /// So many of the trailers, with the line ends between them.
    Trailers(usize),
}

/// The bytes are no chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body is not chunked as it says")]
pub struct Unchunked;

impl Default for Chunks {
    fn default() -> Self {
        Self { lead: 0, extensions: 0, at: At::Size { digits: 0, size: 0 } }
    }
}

impl Chunks {
    /// So many bytes come before the body.
    pub fn after(&mut self, bytes: u64) {
        self.lead = bytes;
    }

    /// Has the body ended?
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Goes on through these bytes. How many of them belong to the message: all, unless it ends among them, or what follows
    /// is no chunk.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Unchunked> {
        let mut used = usize::try_from(self.lead).unwrap_or(usize::MAX).min(bytes.len());
        self.lead -= used as u64;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty() && !self.is_over()) {
            match self.next(rest) {
                Ok(Piece::Data(some) | Piece::Frame(some) | Piece::Trailers(some)) => used += some,
                // What was good before may be read; the next look finds that there is no way on.
                Err(_) if used > 0 => return Ok(used),
                Err(error) => return Err(error),
            }
        }
        Ok(used)
    }

    /// Goes on through the beginning of these bytes, and says what it is: at least one byte, as long as it is not over.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, Unchunked> {
        if let At::Data { left } = self.at {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - some as u64;
            self.at = if left == 0 { At::DataCr } else { At::Data { left } };
            return Ok(Piece::Data(some));
        }
        let in_trailers = self.at.is_in_trailers();
        let mut used = 0;
        for byte in bytes {
            if self.is_over() || matches!(self.at, At::Data { .. }) || self.at.is_in_trailers() != in_trailers
            {
                break;
            }
            let (extending, next) = (matches!(self.at, At::Extension { .. }), step(self.at, *byte));
            match next.filter(|_| !extending || self.extensions < EXTENSIONS_BYTES_MAX) {
                Some(at) => self.at = at,
                None if used > 0 => break,
                None => return Err(Unchunked),
            }
            self.extensions += usize::from(extending);
            used += 1;
        }
        Ok(if in_trailers { Piece::Trailers(used) } else { Piece::Frame(used) })
    }
}

impl At {
    fn is_in_trailers(self) -> bool {
        matches!(
            self,
            Self::InName { .. }
                | Self::InTrailer { .. }
                | Self::LastLf
                | Self::Over
                | Self::Trailer { .. }
                | Self::TrailerEnd { .. }
        )
    }
}

fn step(at: At, byte: u8) -> Option<At> {
    match (at, byte) {
        (At::Size { digits, size }, byte) if byte.is_ascii_hexdigit() && digits < DIGITS_MAX => {
            let digit = char::from(byte).to_digit(16)?;
            Some(At::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
        }
        (At::Size { digits: 1.., size }, b'\r') => Some(At::SizeEnd { size }),
        (At::Size { digits: 1.., size }, b';') => Some(At::Extension { size }),
        (At::Extension { size }, b'\r') => Some(At::SizeEnd { size }),
        (At::Extension { size }, byte) if is_text(byte) => Some(At::Extension { size }),
        (At::SizeEnd { size: 0 }, b'\n') => Some(At::Trailer { bytes: 0 }),
        (At::SizeEnd { size }, b'\n') => Some(At::Data { left: size }),
        (At::DataCr, b'\r') => Some(At::DataLf),
        (At::DataLf, b'\n') => Some(At::Size { digits: 0, size: 0 }),
        (At::Trailer { .. }, b'\r') => Some(At::LastLf),
        (At::InTrailer { bytes }, b'\r') => Some(At::TrailerEnd { bytes }),
        (At::InName { bytes }, b':') if bytes < TRAILERS_BYTES_MAX => {
            Some(At::InTrailer { bytes: bytes + 1 })
        }
        (At::Trailer { bytes } | At::InName { bytes }, byte)
            if is_token(byte) && bytes < TRAILERS_BYTES_MAX =>
        {
            Some(At::InName { bytes: bytes + 1 })
        }
        (At::InTrailer { bytes }, byte) if is_text(byte) && bytes < TRAILERS_BYTES_MAX => {
            Some(At::InTrailer { bytes: bytes + 1 })
        }
        (At::TrailerEnd { bytes }, b'\n') => Some(At::Trailer { bytes }),
        (At::LastLf, b'\n') => Some(At::Over),
        _ => None,
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    /// How much of the bytes belongs to the message, if it ends among them.
    fn end(bytes: &str) -> Result<Option<usize>, Unchunked> {
        let mut chunks = Chunks::default();
        let used = chunks.take(bytes.as_bytes())?;
        if !chunks.is_over() && used < bytes.len() {
            chunks.take(&bytes.as_bytes()[used..])?;
        }
        Ok(chunks.is_over().then_some(used))
    }

    #[test]
    fn the_end_is_found_and_what_follows_is_left() {
        assert_eq!(end("0\r\n\r\nGET / "), Ok(Some(5)));
        assert_eq!(end("3\r\nabc\r\n0\r\n\r\nGET / "), Ok(Some(13)));
        assert_eq!(end("A;name=value\r\n0123456789\r\n0\r\nX: y\r\nZ: w\r\n\r\nmore"), Ok(Some(43)));
        assert_eq!(end("3\r\nabc\r\n0\r\n"), Ok(None));
        assert_eq!(end("ffffffff\r\nabc"), Ok(None));
    }

    #[test]
    fn what_two_servers_could_read_in_two_ways_is_none() {
        for bytes in [
            "3\nabc",
            "3\r\nabcd",
            "3\r\nabc\n",
            "-1\r\n",
            "+3\r\n",
            " 3\r\n",
            "3 \r\n",
            "0x3\r\n",
            "\r\n",
            ";a\r\n",
            "g\r\n",
            "ffffffffffffffff\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\n\n",
            "3;a\nb\r\n",
            "0\r\nX\u{0}: y\r\n",
            "0\r\nX: y\u{0}\r\n",
            // A trailer is a field, or the beginning of the next request.
            "0\r\nX\r\n",
            "0\r\n: y\r\n",
            "0\r\nX : y\r\n",
            "0\r\nX: y\r\n z\r\n",
            "0\r\n X: y\r\n",
            "0\r\nGET / HTTP/1.1\r\n",
        ] {
            assert_eq!(end(bytes), Err(Unchunked), "{bytes:?}");
        }
        assert_eq!(end(&format!("3;{}", "x".repeat(EXTENSIONS_BYTES_MAX + 1))), Err(Unchunked));
        let small = |chunks| format!("{}0\r\n\r\n", "1;x=y\r\n!\r\n".repeat(chunks));
        let bytes = "x=y\r".len();
        assert!(matches!(end(&small(EXTENSIONS_BYTES_MAX / bytes)), Ok(Some(_))));
        assert_eq!(end(&small(EXTENSIONS_BYTES_MAX / bytes + 1)), Err(Unchunked));
        assert_eq!(end(&format!("0\r\nX: {}", "x".repeat(TRAILERS_BYTES_MAX))), Err(Unchunked));
    }

    #[test]
    fn what_is_body_is_told_from_what_is_around_it() {
        let bytes = b"5;x\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\nGET /next";
        for size in 1..bytes.len() {
            let (mut chunks, mut data, mut trailers) = (Chunks::default(), Vec::new(), Vec::new());
            for mut part in bytes.chunks(size) {
                while !part.is_empty() && !chunks.is_over() {
                    let piece = chunks.next(part).unwrap();
                    let (Piece::Data(some) | Piece::Frame(some) | Piece::Trailers(some)) = piece;
                    let (own, rest) = part.split_at(some);
                    match piece {
                        Piece::Data(_) => data.extend_from_slice(own),
                        Piece::Frame(_) => {}
                        Piece::Trailers(_) => trailers.extend_from_slice(own),
                    }
                    part = rest;
                }
            }
            assert_eq!(
                (&data[..], &trailers[..]),
                (&b"hello!"[..], &b"A: b\r\n\r\n"[..]),
                "in parts of {size}"
            );
        }
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_arrive() {
        let bytes = b"GET / HTTP/1.1\r\n\r\n5;x\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\nGET /next";
        let mut whole = Chunks::default();
        whole.after(18);
        let used = whole.take(bytes).unwrap();
        assert!(whole.is_over() && bytes[used..].starts_with(b"GET /next"));
        for size in 1..bytes.len() {
            let mut chunks = Chunks::default();
            chunks.after(18);
            let mut found = 0;
            for part in bytes.chunks(size) {
                let taken = chunks.take(part).unwrap();
                found += taken;
                if taken < part.len() {
                    break;
                }
            }
            assert_eq!(found, used, "in parts of {size}");
        }
    }
}
