//! A client that writes bytes and reads answers.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::PATIENCE;

/// A connection, seen as bytes.
pub struct Client {
    pub stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub version: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn slug(&self) -> String {
        let found = self.body.split("\"slug\":\"").nth(1).and_then(|rest| rest.split('"').next());
        found.unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn to(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// A connection, if somebody listens.
    pub fn to_if(at: SocketAddr) -> Option<Self> {
        TcpStream::connect(at).ok().map(|stream| Self { stream: BufReader::new(stream) })
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has said no may have closed already; what it said is still there to be read.
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    pub fn send(&mut self, request: &str) -> Answer {
        self.write(request);
        self.read(!request.starts_with("HEAD"))
    }

    /// Reads one answer; status 0 if the connection ended without one.
    pub fn read(&mut self, with_body: bool) -> Answer {
        let mut answer = Answer::default();
        let mut line = String::new();
        if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
            return answer;
        }
        answer.version = line.split(' ').next().unwrap_or_default().to_owned();
        answer.status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.trim_end().split_once(':') {
                let all = answer.headers.entry(name.to_ascii_lowercase()).or_default();
                if !all.is_empty() {
                    all.push_str(", ");
                }
                all.push_str(value.trim());
            }
        }
        if !with_body || answer.status == 204 || answer.status == 304 || answer.status < 200 {
            return answer;
        }
        let mut body = Vec::new();
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                let mut size = String::new();
                if self.stream.read_line(&mut size).unwrap_or(0) == 0 {
                    answer.headers.insert("x-truncated".into(), "yes".into());
                    break;
                }
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                let mut chunk = vec![0; size + 2];
                if self.stream.read_exact(&mut chunk).is_err() {
                    answer.headers.insert("x-truncated".into(), "yes".into());
                    break;
                }
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..size]);
            }
        } else if let Ok(length) = answer.header("content-length").parse::<u64>() {
            (&mut self.stream).take(length).read_to_end(&mut body).unwrap_or(0);
            if (body.len() as u64) < length {
                answer.headers.insert("x-truncated".into(), "yes".into());
            }
        } else {
            let _ = self.stream.read_to_end(&mut body);
        }
        answer.body = String::from_utf8_lossy(&body).into_owned();
        answer
    }

    /// Has the other end closed?
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }
}
