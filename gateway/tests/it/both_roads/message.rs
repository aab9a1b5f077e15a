//! What both ends of a proxy see of a message: fields, a body, and whether all of it came. Read by a plain reader that takes
//! nothing but what RFC 9112 has: a proxy must not write anything else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

/// Fields by name in lower case, the values of a name in their order.
pub type Fields = BTreeMap<String, Vec<String>>;

/// A head: its first line and its fields.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Head {
    pub line: String,
    pub fields: Fields,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum End {
    /// Before its end.
    #[default]
    Cut,
    /// It is no message.
    Garbled,
    /// Nobody said anything any more.
    Silent,
    Whole,
}

impl Head {
    pub fn all(&self, name: &str) -> &[String] {
        self.fields.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn says(&self, name: &str, value: &str) -> bool {
        self.all(name).iter().any(|one| one.eq_ignore_ascii_case(value))
    }
}

/// Bytes as text, one character each: nothing is lost and all can be shown.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Bytes of a body. Of many only a few are shown.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Data(pub Vec<u8>);

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.len() {
            ..=64 => write!(f, "{:?}", text(&self.0)),
            length => write!(f, "{length} bytes, {:?}...", text(&self.0[..16])),
        }
    }
}

fn stopped(error: &std::io::Error) -> End {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => End::Silent,
        _ => End::Cut,
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String, End> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes).map_err(|error| stopped(&error))?;
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => Ok(text(line)),
        None if bytes.ends_with(b"\n") => Err(End::Garbled),
        None => Err(End::Cut),
    }
}

fn fields(stream: &mut BufReader<TcpStream>) -> Result<Fields, End> {
    let mut fields = Fields::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or(End::Garbled)?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(End::Garbled);
        }
        fields.entry(name.to_ascii_lowercase()).or_default().push(value.trim_matches([' ', '\t']).to_owned());
    }
}

/// The next head.
pub fn head(stream: &mut BufReader<TcpStream>) -> Result<Head, End> {
    Ok(Head { line: line(stream)?, fields: fields(stream)? })
}

/// The body of a message with this head, as much as comes of it, and its trailers.
pub fn body(stream: &mut BufReader<TcpStream>, head: &Head, until_close: bool) -> (Vec<u8>, Fields, End) {
    let mut body = Vec::new();
    let end = read_body(stream, head, until_close, &mut body);
    match end {
        Ok(trailers) => (body, trailers, End::Whole),
        Err(end) => (body, Fields::new(), end),
    }
}

fn read_body(
    stream: &mut BufReader<TcpStream>,
    head: &Head,
    until_close: bool,
    body: &mut Vec<u8>,
) -> Result<Fields, End> {
    let (lengths, codings) = (head.all("content-length"), head.all("transfer-encoding"));
    match (lengths, codings) {
        ([], []) if until_close => {
            stream.read_to_end(body).map_err(|error| stopped(&error))?;
            Ok(Fields::new())
        }
        ([], []) => Ok(Fields::new()),
        ([length], []) => {
            let length = length.parse().map_err(|_| End::Garbled)?;
            exactly(stream, length, body).map(|()| Fields::new())
        }
        ([], [coding]) if coding == "chunked" => loop {
            let size = u64::from_str_radix(&line(stream)?, 16).map_err(|_| End::Garbled)?;
            if size == 0 {
                return fields(stream);
            }
            exactly(stream, size, body)?;
            if !line(stream)?.is_empty() {
                return Err(End::Garbled);
            }
        },
        _ => Err(End::Garbled),
    }
}

fn exactly(stream: &mut BufReader<TcpStream>, bytes: u64, body: &mut Vec<u8>) -> Result<(), End> {
    let mut left = bytes;
    while left > 0 {
        let some = stream.fill_buf().map_err(|error| stopped(&error))?;
        if some.is_empty() {
            return Err(End::Cut);
        }
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(some.len());
        body.extend_from_slice(&some[..now]);
        stream.consume(now);
        left -= now as u64;
    }
    Ok(())
}
