//! A service that does what its story says, for each request anew: it answers, breaks off, resets, says nothing; it is killed
//! and comes back. And the crowd that goes on calling meanwhile.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::world::{Answer, Client, eventually};

/// A request as it came.
pub struct Asked {
    pub head: String,
    pub body: Vec<u8>,
    /// How many came before it, over all connections.
    pub nth: usize,
}

/// What is done about it.
pub enum Does {
    /// This status, with this body.
    Answers(u16, String),
    /// An answer that ends before the length it has announced.
    BreaksOff,
    /// Nothing: the connection stays open, and silent, until the other end leaves.
    Nothing,
    /// The request was read, and the connection is reset.
    Resets,
    /// The beginning of an answer, and then nothing more.
    Stalls,
}

type Part = dyn Fn(&Asked) -> Does + Send + Sync;

/// A service at one address, whatever becomes of it. It ends with the story.
pub struct Actor {
    pub at: SocketAddr,
    stage: Arc<Stage>,
    open: Option<Open>,
}

/// What outlives a stop.
struct Stage {
    part: Box<Part>,
    asked: AtomicUsize,
    connections: AtomicUsize,
    /// Resets what something arrives on, without reading it.
    deaf: AtomicBool,
    unread: AtomicUsize,
}

/// From a start to a stop.
struct Open {
    over: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    listens: JoinHandle<()>,
}

/// Starts a service on an address of the story's own: while it is stopped nobody else must get its port.
pub fn actor(on: [u8; 4], part: impl Fn(&Asked) -> Does + Send + Sync + 'static) -> Actor {
    let listener = TcpListener::bind(SocketAddr::from((on, 0))).unwrap();
    let at = listener.local_addr().unwrap();
    let stage = Stage {
        part: Box::new(part),
        asked: AtomicUsize::default(),
        connections: AtomicUsize::default(),
        deaf: AtomicBool::default(),
        unread: AtomicUsize::default(),
    };
    let mut actor = Actor { at, stage: Arc::new(stage), open: None };
    actor.open(listener);
    actor
}

impl Asked {
    /// A field of its head; empty if it has none.
    pub fn field(&self, name: &str) -> &str {
        let named = |line: &&str| line.split(':').next().is_some_and(|own| own.eq_ignore_ascii_case(name));
        let line = self.head.lines().skip(1).find(named);
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }

    /// Its path, without the first slash.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/')
    }
}

impl Actor {
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Requests that have arrived whole, whatever was done about them.
    pub fn asked(&self) -> usize {
        self.stage.asked.load(Ordering::SeqCst)
    }

    /// Connections that were accepted.
    pub fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::SeqCst)
    }

    /// Connections that were reset with something in them, which was not read.
    pub fn unread(&self) -> usize {
        self.stage.unread.load(Ordering::SeqCst)
    }

    /// From now on nothing is read.
    pub fn turns_deaf(&self) {
        self.stage.deaf.store(true, Ordering::SeqCst);
    }

    /// Reads again.
    pub fn listens(&self) {
        self.stage.deaf.store(false, Ordering::SeqCst);
    }

    /// Ends as a killed process does: nobody listens, and what was open is broken off.
    pub fn stop(&mut self) {
        let Some(open) = self.open.take() else { return };
        open.over.store(true, Ordering::SeqCst);
        // Wakes the listener, so that its thread ends and its port is closed.
        let _ = TcpStream::connect(self.at);
        open.listens.join().unwrap();
        for stream in open.streams.lock().unwrap().drain(..).filter_map(|stream| stream.upgrade()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Comes back, after a stop.
    pub fn start(&mut self) {
        let mut listener = None;
        eventually("the port is free again", || {
            listener = TcpListener::bind(self.at).ok();
            listener.is_some()
        });
        self.open(listener.unwrap());
    }

    fn open(&mut self, listener: TcpListener) {
        let (over, streams) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Weak<TcpStream>>>>::default());
        let (stage, is_over, kept) = (self.stage.clone(), over.clone(), streams.clone());
        let listens = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                stage.connections.fetch_add(1, Ordering::SeqCst);
                let stream = Arc::new(stream);
                kept.lock().unwrap().push(Arc::downgrade(&stream));
                let (stage, is_over) = (stage.clone(), is_over.clone());
                std::thread::spawn(move || converse(&stream, &stage, &is_over));
            }
        });
        self.open = Some(Open { over, streams, listens });
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Until the connection ends.
fn converse(mut stream: &TcpStream, stage: &Stage, is_over: &AtomicBool) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    loop {
        // Whoever calls has sent something then, and knows it.
        stream.peek(&mut [0]).ok().filter(|bytes| *bytes > 0)?;
        if stage.deaf.load(Ordering::SeqCst) {
            stage.unread.fetch_add(1, Ordering::SeqCst);
            return reset(stream);
        }
        let mut head = String::new();
        loop {
            let before = head.len();
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
            if head[before..].trim().is_empty() {
                break;
            }
        }
        let mut asked = Asked { head, body: Vec::new(), nth: 0 };
        asked.body = vec![0; asked.field("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut asked.body).ok()?;
        if is_over.load(Ordering::SeqCst) {
            return None;
        }
        asked.nth = stage.asked.fetch_add(1, Ordering::SeqCst);
        match (stage.part)(&asked) {
            Does::Answers(status, body) => {
                let length = body.len();
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).ok()?;
            }
            Does::BreaksOff => {
                let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nonly this");
                return None;
            }
            Does::Nothing => {
                let _ = reader.read(&mut [0]);
                return None;
            }
            Does::Stalls => {
                stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nonly this").ok()?;
                let _ = reader.read(&mut [0]);
                return None;
            }
            Does::Resets => return reset(stream),
        }
    }
}

fn reset(stream: &TcpStream) -> Option<()> {
    // With nothing to linger for, the kernel sends a reset when it closes.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    None
}

/// One request of a crowd, and what came of it.
#[derive(Debug)]
pub struct Told {
    pub began: Instant,
    pub took: Duration,
    pub answer: Answer,
}

impl Told {
    /// A whole answer with this status?
    pub fn is(&self, status: u16) -> bool {
        self.answer.status == status && self.answer.header("x-truncated").is_empty()
    }
}

/// Callers that go on calling until they are told to stop, each on a connection of its own.
pub struct Crowd {
    told: Arc<Mutex<Vec<Told>>>,
    over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

/// So many callers, each with a pause between an answer and its next request. `request` is given a number that is new each time.
pub fn crowd(
    at: SocketAddr,
    callers: usize,
    pause: Duration,
    request: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Crowd {
    let (told, over) = (Arc::<Mutex<Vec<Told>>>::default(), Arc::<AtomicBool>::default());
    let (request, number) = (Arc::new(request), Arc::<AtomicUsize>::default());
    let caller = || {
        let (told, over) = (told.clone(), over.clone());
        let (request, number) = (request.clone(), number.clone());
        std::thread::spawn(move || {
            let mut client = Client::to(at);
            while !over.load(Ordering::SeqCst) {
                let text = request(number.fetch_add(1, Ordering::SeqCst));
                let began = Instant::now();
                let answer = client.send(&text);
                let went = Told { began, took: began.elapsed(), answer };
                if went.answer.status == 0
                    || went.answer.header("connection") == "close"
                    || !went.answer.header("x-truncated").is_empty()
                {
                    client = Client::to(at);
                }
                told.lock().unwrap().push(went);
                std::thread::sleep(pause);
            }
        })
    };
    let callers = (0..callers).map(|_| caller()).collect();
    Crowd { told, over, callers }
}

impl Crowd {
    /// How many answers there are.
    pub fn answers(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Waits for so many more answers.
    pub fn more(&self, answers: usize) {
        let before = self.answers();
        eventually("the crowd gets answers", || self.answers() >= before + answers);
    }

    /// What a condition says of the answers so far.
    pub fn see<T>(&self, look: impl FnOnce(&[Told]) -> T) -> T {
        look(&self.told.lock().unwrap())
    }

    /// Ends, and tells everything in the order of its end.
    pub fn end(self) -> Vec<Told> {
        self.over.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.join().unwrap();
        }
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

/// The time within which so many of a hundred were answered.
pub fn percentile<'a>(told: impl IntoIterator<Item = &'a Told>, percent: usize) -> Duration {
    let mut took: Vec<_> = told.into_iter().map(|told| told.took).collect();
    took.sort();
    took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
}
