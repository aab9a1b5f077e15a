//! What a story needs: a gateway in this process, services behind it that do as the path says, a client that sees bytes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway::gateway::Gateway;
use gateway::settings::Settings;
use shell::listen::ListenAt;

/// Nothing in a story takes longer than this, unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway that runs, and the folder its document stands in.
pub struct World {
    pub gateway: Option<Gateway>,
    pub folder: tempfile::TempDir,
    pub at: SocketAddr,
}

/// Starts a gateway with this document.
pub fn world(document: &str) -> World {
    world_with(document, |_| {})
}

/// Starts a gateway with this document, and settings of the story's own.
pub fn world_with(document: &str, change: impl FnOnce(&mut Settings)) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    std::fs::write(&path, document).unwrap();
    let mut settings = Settings::new(&path);
    settings.listen = vec![ListenAt::Tcp(([127, 0, 0, 1], 0).into())];
    settings.workers = Some(1);
    change(&mut settings);
    let gateway = Gateway::start(&settings).unwrap_or_else(|error| panic!("{error}"));
    let at = gateway.places().iter().find_map(|(at, _)| match at {
        ListenAt::Tcp(address) => Some(*address),
        ListenAt::Unix(_) => None,
    });
    World { gateway: Some(gateway), folder, at: at.unwrap_or_else(|| ([127, 0, 0, 1], 0).into()) }
}

impl World {
    pub fn document(&self) -> PathBuf {
        self.folder.path().join("shop.yaml")
    }

    /// Writes another document in the place of this one, as an editor does, and waits until it has been judged.
    pub fn rewrite(&self, text: &str) {
        let part = self.folder.path().join("shop.yaml.part");
        std::fs::write(&part, text).unwrap();
        std::fs::rename(&part, self.document()).unwrap();
    }

    pub fn generation(&self) -> u64 {
        self.gateway.as_ref().unwrap().plans().status().generation
    }

    /// What `/metrics` says of this series, as it is written there.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let admin = self.gateway.as_ref().unwrap().admin();
        let page = Client::to(admin).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        page.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub fn connect(&self) -> Client {
        Client::to(self.at)
    }

    /// One request on a connection of its own.
    pub fn send(&self, request: &str) -> Answer {
        self.connect().send(request)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
    }
}

/// Waits until it is so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

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

/// A service. Its path says what it does:
/// `/echo...` tells what it got, `/status/503`, `/slow/MS`, `/close` (no answer), `/half` (broken off), `/big/BYTES`,
/// `/chunked`, `/ws` (an echoing tunnel), `/flaky/N` (fails N times, then works), `/raw/TEXT` (these bytes; `_` is a space, `~` a line end).
pub struct Service {
    pub at: SocketAddr,
    pub hits: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    pub heads: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.down.store(true, Ordering::SeqCst);
        // Wakes the listener, so that its thread ends.
        let _ = TcpStream::connect(self.at);
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
    let service = Service {
        at: listener.local_addr().unwrap(),
        hits: Arc::default(),
        connections: Arc::default(),
        heads: Arc::default(),
        down: Arc::default(),
    };
    let (hits, connections, heads, down) =
        (service.hits.clone(), service.connections.clone(), service.heads.clone(), service.down.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if down.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            connections.fetch_add(1, Ordering::SeqCst);
            let (hits, heads, down) = (hits.clone(), heads.clone(), down.clone());
            std::thread::spawn(move || converse(name, stream, &hits, &heads, &down));
        }
    });
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

/// A file of the story's own.
pub fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}
