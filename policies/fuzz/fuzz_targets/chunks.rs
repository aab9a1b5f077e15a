//! A chunked body made of any bytes is read as a plain reader reads it: the same data, the same trailers, the same end, or
//! refused at the same byte; in whatever parts it comes, and with no more memory than at the beginning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::guard::{Chunks, Piece};

/// As in the decoder: bounds of all extensions, and of all trailers.
const EXTENSIONS_MAX: usize = 16 * 1024;
const TRAILERS_MAX: usize = 16 * 1024;
const DIGITS_MAX: usize = 15;

const _: () = assert!(size_of::<Chunks>() <= 64, "a decoder keeps no bytes");

fuzz_target!(|data: &[u8]| {
    let Some((seed, bytes)) = data.split_first() else { return };
    let expected = Plain::read(bytes);
    assert_eq!(decoded(bytes, |left| left), expected, "whole");
    assert_eq!(decoded(bytes, |_| 1), expected, "byte by byte");
    let mut dice = u32::from(*seed);
    let split = |_| {
        dice = dice.wrapping_mul(1_103_515_245).wrapping_add(12345);
        1 + (dice >> 16) as usize % 7
    };
    assert_eq!(decoded(bytes, split), expected, "in parts");
    taken(bytes, &expected);
});

/// What came of a body.
#[derive(Debug, Default, Eq, PartialEq)]
struct Read {
    data: Vec<u8>,
    trailers: Vec<u8>,
    /// So many bytes were good.
    used: usize,
    stop: Option<Stop>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    More,
    Over,
    Refused,
}

/// The decoder's reading, in parts.
fn decoded(bytes: &[u8], mut part: impl FnMut(usize) -> usize) -> Read {
    let (mut chunks, mut read) = (Chunks::default(), Read::default());
    let mut rest = bytes;
    while !rest.is_empty() && !chunks.is_over() {
        let (mut now, behind) = rest.split_at(part(rest.len()).min(rest.len()));
        while !now.is_empty() && !chunks.is_over() {
            let Ok(piece) = chunks.next(now) else {
                read.stop = Some(Stop::Refused);
                return read;
            };
            let (Piece::Data(some) | Piece::Frame(some) | Piece::Trailers(some)) = piece;
            assert!(some > 0, "it goes on");
            let (own, other) = now.split_at(some);
            match piece {
                Piece::Data(_) => read.data.extend_from_slice(own),
                Piece::Frame(_) => {}
                Piece::Trailers(_) => read.trailers.extend_from_slice(own),
            }
            read.used += some;
            now = other;
        }
        rest = behind;
    }
    read.stop = Some(if chunks.is_over() { Stop::Over } else { Stop::More });
    read
}

/// Whoever only asks where the message ends is told the same.
fn taken(bytes: &[u8], expected: &Read) {
    let mut chunks = Chunks::default();
    let mut used = 0;
    while !chunks.is_over() {
        match chunks.take(&bytes[used..]) {
            Ok(0) => break,
            Ok(some) => used += some,
            Err(_) => break,
        }
    }
    assert_eq!((used, chunks.is_over()), (expected.used, expected.stop == Some(Stop::Over)));
}

/// RFC 9112 §7.1, read from front to back with all bytes at hand.
struct Plain<'a> {
    bytes: &'a [u8],
    at: usize,
    extensions: usize,
    read: Read,
}

impl<'a> Plain<'a> {
    fn read(bytes: &'a [u8]) -> Read {
        let mut plain = Self { bytes, at: 0, extensions: 0, read: Read::default() };
        let stop = plain.body().err().unwrap_or(Stop::Over);
        Read { used: plain.at, stop: Some(stop), ..plain.read }
    }

    fn body(&mut self) -> Result<(), Stop> {
        loop {
            let line = self.at;
            let size = self.size()?;
            self.extension()?;
            self.end_of_line()?;
            if let Ok(httparse::Status::Complete((_, others))) = httparse::parse_chunk_size(&self.bytes[line..]) {
                assert_eq!(others, size, "others read another size");
            }
            if size == 0 {
                break;
            }
            let left = self.bytes.len() - self.at;
            let some = usize::try_from(size).unwrap_or(usize::MAX).min(left);
            self.read.data.extend_from_slice(&self.bytes[self.at..self.at + some]);
            self.at += some;
            self.end_of_line()?;
        }
        let begin = self.at;
        let trailers = self.trailers();
        self.read.trailers = self.bytes[begin..self.at].to_vec();
        trailers
    }

    fn size(&mut self) -> Result<u64, Stop> {
        let begin = self.at;
        while self.here()?.is_ascii_hexdigit() && self.at - begin < DIGITS_MAX {
            self.at += 1;
        }
        let digits = std::str::from_utf8(&self.bytes[begin..self.at]).expect("digits");
        u64::from_str_radix(digits, 16).map_err(|_| Stop::Refused)
    }

    fn extension(&mut self) -> Result<(), Stop> {
        if self.here()? != b';' {
            return Ok(());
        }
        self.at += 1;
        loop {
            let byte = self.here()?;
            if self.extensions == EXTENSIONS_MAX || (byte != b'\r' && !is_text(byte)) {
                return Err(Stop::Refused);
            }
            // Its line end counts, so that even empty ones come to an end.
            self.extensions += 1;
            if byte == b'\r' {
                return Ok(());
            }
            self.at += 1;
        }
    }

    fn trailers(&mut self) -> Result<(), Stop> {
        let mut bytes = 0;
        while self.here()? != b'\r' {
            let begin = self.at;
            let mut in_name = true;
            while self.here()? != b'\r' || in_name {
                let byte = self.here()?;
                let fits = match in_name {
                    true => is_token(byte) || (byte == b':' && self.at > begin),
                    false => is_text(byte),
                };
                if !fits || bytes == TRAILERS_MAX {
                    return Err(Stop::Refused);
                }
                in_name &= byte != b':';
                bytes += 1;
                self.at += 1;
            }
            self.end_of_line()?;
        }
        self.end_of_line()
    }

    fn end_of_line(&mut self) -> Result<(), Stop> {
        for expected in *b"\r\n" {
            if self.here()? != expected {
                return Err(Stop::Refused);
            }
            self.at += 1;
        }
        Ok(())
    }

    fn here(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::More)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
