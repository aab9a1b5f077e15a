//! The world outside of a gateway, to be disturbed: a server that is stopped, silenced and started again, a Redis, and
//! clients that go on sending meanwhile. Read `endures.rs`, which tells what happens to them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::world::{Client, World, eventually};

/// What a server of the outside answers to a body, byte by byte.
type Answers = dyn Fn(&[u8]) -> String + Send + Sync;
/// What is told of a body that was answered.
type Takes = dyn Fn(&[u8]) + Send + Sync;

/// A server of HTTP/1.1 at one address, whatever becomes of it. It ends with the story.
pub struct Outside {
    pub at: SocketAddr,
    desk: Arc<Desk>,
    open: Option<Open>,
}

/// What outlives a stop.
struct Desk {
    answers: Box<Answers>,
    takes: Box<Takes>,
    asked: AtomicUsize,
}

/// From a start to a stop.
struct Open {
    over: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    listens: JoinHandle<()>,
}

/// What a server does with requests.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Manner {
    Answers,
    Silent,
}

/// Starts a server on an address of the story's own: while it is stopped nobody else must get its port.
pub fn outside(
    on: [u8; 4],
    answers: impl Fn(&[u8]) -> String + Send + Sync + 'static,
    takes: impl Fn(&[u8]) + Send + Sync + 'static,
) -> Outside {
    let listener = TcpListener::bind(SocketAddr::from((on, 0))).unwrap();
    let at = listener.local_addr().unwrap();
    let desk = Desk { answers: Box::new(answers), takes: Box::new(takes), asked: AtomicUsize::new(0) };
    let mut outside = Outside { at, desk: Arc::new(desk), open: None };
    outside.open(listener, Manner::Answers);
    outside
}

impl Outside {
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Requests that have arrived whole, answered or not.
    pub fn asked(&self) -> usize {
        self.desk.asked.load(Ordering::SeqCst)
    }

    /// Ends as a process does: nobody listens, and what was open is broken off.
    pub fn stop(&mut self) {
        let Some(open) = self.open.take() else { return };
        open.over.store(true, Ordering::SeqCst);
        // Wakes the listener, so that its thread ends and its port is closed.
        let _ = TcpStream::connect(self.at);
        open.listens.join().unwrap();
        for stream in open.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Listens again, after a stop, and answers.
    pub fn start(&mut self) {
        self.start_as(Manner::Answers);
    }

    /// Listens again, after a stop, takes every request, and answers none.
    pub fn start_silent(&mut self) {
        self.start_as(Manner::Silent);
    }

    fn start_as(&mut self, manner: Manner) {
        let mut listener = None;
        eventually("the port is free again", || {
            listener = TcpListener::bind(self.at).ok();
            listener.is_some()
        });
        self.open(listener.unwrap(), manner);
    }

    fn open(&mut self, listener: TcpListener, manner: Manner) {
        let (over, streams) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (desk, is_over, kept) = (self.desk.clone(), over.clone(), streams.clone());
        let listens = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                let desk = desk.clone();
                std::thread::spawn(move || converse(stream, &desk, manner));
            }
        });
        self.open = Some(Open { over, streams, listens });
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Until the connection ends.
fn converse(stream: TcpStream, desk: &Desk, manner: Manner) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        desk.asked.fetch_add(1, Ordering::SeqCst);
        if manner == Manner::Answers {
            reader.get_mut().write_all((desk.answers)(&body).as_bytes()).ok()?;
            // Only what was answered: of what was broken off whoever sent it does not know that it arrived.
            (desk.takes)(&body);
        }
    }
}

/// A Redis of the story's own; it ends with it.
pub struct Redis {
    process: Child,
    at: SocketAddr,
    folder: tempfile::TempDir,
}

/// Starts a Redis, on an address of the story's own.
pub fn redis(on: [u8; 4]) -> Redis {
    let folder = tempfile::tempdir().unwrap();
    let at = TcpListener::bind(SocketAddr::from((on, 0))).unwrap().local_addr().unwrap();
    let redis = Redis { process: redis_at(at, &folder), at, folder };
    redis.listens();
    redis
}

fn redis_at(at: SocketAddr, folder: &tempfile::TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &at.port().to_string(), "--bind", &at.ip().to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is missing: sudo apt-get install redis-server")
}

impl Redis {
    pub fn url(&self) -> String {
        format!("redis://{}", self.at)
    }

    fn listens(&self) {
        eventually("Redis listens", || TcpStream::connect(self.at).is_ok());
    }

    /// The process stands still: its connections stay open, and nothing is answered.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// It goes on where it stood.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// A new process in the place of the one that was killed. It knows nothing.
    pub fn restart(&mut self) {
        self.process = redis_at(self.at, &self.folder);
        self.listens();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Connections that send one request after the other.
const CLIENTS: usize = 4;
/// What a client waits between two requests: a few hundred in a second, so that a story leaves the machine to others.
const PACE: Duration = Duration::from_millis(10);

/// Clients that go on sending, each over one connection that is kept.
pub struct Load {
    told: Arc<Mutex<Vec<Told>>>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Told {
    pub path: String,
    pub began: Instant,
    pub took: Duration,
    /// Zero if the connection ended without an answer.
    pub status: u16,
    pub slug: String,
}

impl Told {
    pub fn is(&self, path: &str, status: u16) -> bool {
        self.path == path && self.status == status
    }
}

/// Begins to send: the request of each number.
pub fn load(world: &World, request: impl Fn(usize) -> String + Send + Sync + 'static) -> Load {
    let (told, over) = (Arc::<Mutex<Vec<Told>>>::default(), Arc::<AtomicBool>::default());
    let (at, request, next) = (world.at, Arc::new(request), Arc::new(AtomicUsize::new(0)));
    let clients = (0..CLIENTS).map(|_| {
        let (told, over, request, next) = (told.clone(), over.clone(), request.clone(), next.clone());
        std::thread::spawn(move || {
            let mut client = Client::to(at);
            while !over.load(Ordering::SeqCst) {
                let text = request(next.fetch_add(1, Ordering::SeqCst));
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                let began = Instant::now();
                let answer = client.send(&text);
                let (took, status, slug) = (began.elapsed(), answer.status, answer.slug());
                told.lock().unwrap().push(Told { path, began, took, status, slug });
                if status == 0 || answer.header("connection") == "close" {
                    client = Client::to(at);
                }
                std::thread::sleep(PACE);
            }
        })
    });
    let clients = clients.collect();
    Load { told, over, clients }
}

impl Load {
    pub fn answered(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Waits until so many more have been answered.
    pub fn more(&self, count: usize) {
        let until = self.answered() + count;
        eventually("more requests are answered", || self.answered() >= until);
    }

    /// Waits until a request of this path gets this status.
    pub fn until(&self, path: &str, status: u16) {
        let since = self.answered();
        let is = |told: &Told| told.is(path, status);
        eventually(&format!("{path} is {status}"), || self.told.lock().unwrap()[since..].iter().any(is));
    }

    /// Waits until every client has its answer, and gives all that was told.
    pub fn end(mut self) -> Vec<Told> {
        self.over.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

impl Drop for Load {
    /// A story that fails leaves no clients behind.
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}
