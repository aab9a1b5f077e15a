//! What is spoken on a connection nobody declared, by the first bytes of it. One look decides, and what cannot be told is
//! taken for bytes: a protocol in which the server speaks first must not wait for us.

/// What HTTP/2 begins with: RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest request line that is looked at before it has ended.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// The longest method.
const METHOD_BYTES_MAX: usize = 32;

/// What the first bytes look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Looks {
    /// A request of HTTP/1.
    Http1,
    /// HTTP/2, known in advance.
    Http2,
    /// Something else.
    Opaque,
    /// The greeting of TLS.
    Tls,
    /// Too little to know.
    Unclear,
}

impl Looks {
    /// What these bytes look like.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] | [0x16] => Self::Unclear,
            // RFC 8446 §5.1: a record of the handshake, version 3.x.
            [0x16, 0x03, ..] => Self::Tls,
            _ if PREFACE.starts_with(bytes.get(..PREFACE.len().min(bytes.len())).unwrap_or_default()) => {
                if bytes.len() >= PREFACE.len() {
                    Self::Http2
                } else {
                    Self::Unclear
                }
            }
            _ => http1(bytes),
        }
    }
}

/// A request line is `method SP target SP HTTP/1.x`.
fn http1(bytes: &[u8]) -> Looks {
    let is_method = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let method = bytes.iter().take_while(|byte| is_method(byte)).count();
    if method > METHOD_BYTES_MAX || method == 0 {
        return Looks::Opaque;
    }
    match bytes.get(method) {
        None => return Looks::Unclear,
        Some(b' ') => {}
        Some(_) => return Looks::Opaque,
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let ended = line.len() < bytes.len();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match (ended, line.rsplit(|byte| *byte == b' ').next()) {
        (true, Some(version)) if version.starts_with(b"HTTP/") => Looks::Http1,
        (true, _) => Looks::Opaque,
        // A line that is still coming may hold anything but control bytes.
        (false, _) if line.iter().any(u8::is_ascii_control) || line.len() > LINE_BYTES_MAX => Looks::Opaque,
        (false, _) => Looks::Unclear,
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn one_look_tells_what_is_spoken() {
        let check = |bytes: &[u8], expected| {
            assert_eq!(Looks::of(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        };
        check(b"", Looks::Unclear);
        check(b"G", Looks::Unclear);
        check(b"GET ", Looks::Unclear);
        check(b"GET / HTTP/1.1\r\n", Looks::Http1);
        check(b"GET / HTTP/1.1\nHost: a\n\n", Looks::Http1);
        check(b"M-SEARCH * HTTP/1.1\r\n", Looks::Http1);
        check(b"GET /a b HTTP/1.1\r\n", Looks::Http1);
        check(b"PRI * HT", Looks::Unclear);
        check(PREFACE, Looks::Http2);
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04", Looks::Http2);
        check(b"PRINT / HTTP/1.1\r\n", Looks::Http1);
        check(&[0x16], Looks::Unclear);
        check(&[0x16, 0x03, 0x01, 0x02], Looks::Tls);
        check(&[0x16, 0x02], Looks::Opaque);
        // Redis, MySQL, Postgres, SMTP, MongoDB.
        check(b"*1\r\n$4\r\nPING\r\n", Looks::Opaque);
        check(b"PING\r\n", Looks::Opaque);
        check(b"SET a b\r\n", Looks::Opaque);
        check(&[0x4a, 0, 0, 0, 0x0a], Looks::Opaque);
        check(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], Looks::Opaque);
        check(b"EHLO mail.shop.example\r\n", Looks::Opaque);
        check(&[0x3f, 0, 0, 0, 1], Looks::Opaque);
    }
}
