//! Services that do as the path says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A service. Its path says what it does:
/// `/echo...` tells what it got, `/status/503`, `/slow/MS`, `/close` (no answer), `/half` (broken off), `/big/BYTES`,
/// `/chunked`, `/ws` (an echoing tunnel), `/flaky/N` (fails N times, then works), `/raw/TEXT` (these bytes; `_` is a space, `~` a line end).
pub struct Service {
    pub at: SocketAddr,
    pub hits: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    pub heads: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
    listens: Option<JoinHandle<()>>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.down.store(true, Ordering::SeqCst);
        // Wakes the listener, so that its thread ends. Once it has, nobody can connect any more.
        let begun = Instant::now();
        while self.listens.as_ref().is_some_and(|thread| !thread.is_finished()) && begun.elapsed() < PATIENCE
        {
            let _ = TcpStream::connect_timeout(&self.at, PATIENCE);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts a service.
pub fn service(name: &'static str) -> Service {
    service_at(name, ([127, 0, 0, 1], 0).into())
}

/// Starts a service that will go away, on an address where no other story gets a port: nobody must answer in its place.
pub fn aside(name: &'static str) -> Service {
    service_at(name, ([127, 0, 0, 77], 0).into())
}

/// Starts a service at this address.
pub fn service_at(name: &'static str, at: SocketAddr) -> Service {
    let listener = TcpListener::bind(at).unwrap();
    let mut service = Service {
        at: listener.local_addr().unwrap(),
        hits: Arc::default(),
        connections: Arc::default(),
        heads: Arc::default(),
        down: Arc::default(),
        listens: None,
    };
    let (hits, connections, heads, down) =
        (service.hits.clone(), service.connections.clone(), service.heads.clone(), service.down.clone());
    service.listens = Some(std::thread::spawn(move || {
        for stream in listener.incoming() {
            if down.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            connections.fetch_add(1, Ordering::SeqCst);
            let (hits, heads, down) = (hits.clone(), heads.clone(), down.clone());
            std::thread::spawn(move || converse(name, stream, &hits, &heads, &down));
        }
    }));
    service
}

impl Service {
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// The head of the last request it got.
    pub fn last_head(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

fn converse(
    name: &str,
    stream: TcpStream,
    hits: &AtomicUsize,
    heads: &Mutex<Vec<String>>,
    down: &AtomicBool,
) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            let before = head.len();
            match reader.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) if head[before..].trim().is_empty() => break,
                Ok(_) => {}
            }
        }
        if down.load(Ordering::SeqCst) {
            return;
        }
        let nth = hits.fetch_add(1, Ordering::SeqCst);
        heads.lock().unwrap().push(head.clone());
        let lower = head.to_ascii_lowercase();
        let field = |name: &str| {
            lower.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let verb = |prefix: &str| path.find(prefix).map(|at| &path[at + prefix.len()..]);
        if field("expect").is_some() {
            let _ = reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let mut received = 0_u64;
        if field("transfer-encoding").is_some() {
            loop {
                let mut size = String::new();
                if reader.read_line(&mut size).unwrap_or(0) == 0 {
                    return;
                }
                let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
                received += size;
                let mut away = (&mut reader).take(size + 2);
                if std::io::copy(&mut away, &mut std::io::sink()).unwrap_or(0) < size + 2 {
                    return;
                }
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = field("content-length").and_then(|length| length.parse::<u64>().ok()) {
            received = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap_or(0);
            if received < length {
                return;
            }
        }
        let out = reader.get_mut();
        let mut status = 200;
        let mut body = format!("{name} got {received}\n{head}");
        if let Some(rest) = verb("/status/") {
            status = rest.split(['/', '?']).next().and_then(|status| status.parse().ok()).unwrap_or(200);
        } else if let Some(rest) = verb("/slow/") {
            let millis = rest.split(['/', '?']).next().and_then(|millis| millis.parse().ok()).unwrap_or(0);
            std::thread::sleep(Duration::from_millis(millis));
        } else if verb("/close").is_some() {
            return;
        } else if verb("/half").is_some() {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this");
            return;
        } else if let Some(rest) = verb("/big/") {
            let mut left: u64 = rest.split(['/', '?']).next().and_then(|size| size.parse().ok()).unwrap_or(0);
            let _ = out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n").as_bytes());
            let piece = vec![b'x'; 65536];
            while left > 0 {
                let now = left.min(piece.len() as u64);
                if out.write_all(&piece[..now as usize]).is_err() {
                    return;
                }
                left -= now;
            }
            continue;
        } else if verb("/chunked").is_some() {
            let _ = out
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
            continue;
        } else if verb("/ws").is_some() {
            let _ = out.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if reader.get_mut().write_all(&bytes[..read]).is_err() {
                    return;
                }
            }
            return;
        } else if let Some(rest) = verb("/flaky/") {
            let times: usize =
                rest.split(['/', '?']).next().and_then(|times| times.parse().ok()).unwrap_or(0);
            status = if nth < times { 503 } else { 200 };
        } else if let Some(rest) = verb("/raw/") {
            let text = rest.replace('_', " ").replace('~', "\r\n");
            let _ = out.write_all(text.as_bytes());
            return;
        }
        if head.starts_with("HEAD") {
            body.clear();
        }
        let answer =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nX-From: {name}\r\n\r\n{body}", body.len());
        if out.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
