//! A service that plays what it was told, byte by byte, and writes down what arrives.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use testkit::PATIENCE;

use super::message::{End, Fields, Head, body, head};

/// What names the exchange a request belongs to.
pub const CASE: &str = "x-case";

/// What a service does about a request.
#[derive(Clone, Debug)]
pub struct Does {
    pub when: When,
    /// Heads before the answer, and the answer, byte by byte.
    pub says: Vec<u8>,
    /// Where the bytes are parted on their way.
    pub cuts: Vec<u16>,
    /// So many of the bytes are said, if not all.
    pub only: Option<usize>,
    pub then: Then,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// When all of the request is here.
    AtItsEnd,
    /// When its head is here; the rest is read afterwards.
    AtOnce,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The connection is closed.
    Close,
    /// It waits for another request.
    Keep,
    /// The connection is cut so that the other end sees an error.
    Reset,
}

/// A request that arrived.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Arrived {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Fields,
    pub end: End,
    /// Nothing more happens to it.
    pub over: bool,
}

#[derive(Default)]
struct Play {
    does: Vec<Does>,
    arrived: Vec<Arrived>,
}

#[derive(Default)]
struct Stage {
    plays: Mutex<HashMap<String, Play>>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
}

#[derive(Clone)]
pub struct Upstream {
    pub at: SocketAddr,
    stage: Arc<Stage>,
}

impl Upstream {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self { at: listener.local_addr().unwrap(), stage: Arc::default() };
        let stage = upstream.stage.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let stage = stage.clone();
                stage.connections.lock().unwrap().extend(stream.try_clone());
                std::thread::spawn(move || stage.converse(stream));
            }
        });
        upstream
    }

    /// What is done about the requests of this exchange: one after the other, the last one for all that follow.
    pub fn play(&self, case: &str, does: Vec<Does>) {
        let play = Play { does, arrived: Vec::new() };
        self.stage.plays.lock().unwrap().insert(case.to_owned(), play);
    }

    /// Closes all connections: what the next case finds does not depend on what the last one left.
    pub fn rest(&self) {
        for connection in self.stage.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// What arrived of this exchange, when all of it has been answered.
    pub fn arrived(&self, case: &str) -> Vec<Arrived> {
        let plays = self.stage.plays.lock().unwrap();
        let busy = |plays: &mut HashMap<String, Play>| {
            plays.get(case).is_some_and(|play| play.arrived.iter().any(|arrived| !arrived.over))
        };
        let (mut plays, _) = self.stage.changed.wait_timeout_while(plays, PATIENCE, busy).unwrap();
        plays.remove(case).map(|play| play.arrived).unwrap_or_default()
    }
}

impl Stage {
    fn converse(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut stream = BufReader::new(stream);
        while let Ok(head) = head(&mut stream) {
            let case = head.all(CASE).concat();
            let Some((does, index)) = self.begin(&case, &head) else { return };
            if does.when == When::AtItsEnd {
                self.read(&mut stream, &case, index, &head);
            }
            let said = does.says.get(..does.only.unwrap_or(usize::MAX)).unwrap_or(&does.says);
            let _ = say(stream.get_mut(), said, &does.cuts);
            if does.when == When::AtOnce {
                if does.then != Then::Keep {
                    // Closing on unread bytes would take the answer away.
                    let _ = stream.get_mut().shutdown(Shutdown::Write);
                }
                self.read(&mut stream, &case, index, &head);
            }
            if does.then == Then::Reset {
                let _ = socket2::SockRef::from(stream.get_ref()).set_linger(Some(std::time::Duration::ZERO));
            }
            if does.then != Then::Keep {
                self.forget(stream.get_ref());
                drop(stream);
                return self.end(&case, index);
            }
            self.end(&case, index);
        }
    }

    /// Lets the other handle of this connection go, so that it can close.
    fn forget(&self, stream: &TcpStream) {
        let from = stream.peer_addr().ok();
        let mut connections = self.connections.lock().unwrap();
        connections.retain(|other| other.peer_addr().ok() != from && from.is_some());
    }

    fn begin(&self, case: &str, head: &Head) -> Option<(Does, usize)> {
        let mut plays = self.plays.lock().unwrap();
        let play = plays.get_mut(case)?;
        let index = play.arrived.len();
        play.arrived.push(Arrived { head: head.clone(), ..Arrived::default() });
        Some((play.does.get(index).or(play.does.last())?.clone(), index))
    }

    fn read(&self, stream: &mut BufReader<TcpStream>, case: &str, index: usize, head: &Head) {
        let (body, trailers, end) = body(stream, head, false);
        self.note(case, index, |arrived| {
            (arrived.body, arrived.trailers, arrived.end) = (body, trailers, end);
        });
    }

    fn end(&self, case: &str, index: usize) {
        self.note(case, index, |arrived| arrived.over = true);
    }

    fn note(&self, case: &str, index: usize, note: impl FnOnce(&mut Arrived)) {
        let mut plays = self.plays.lock().unwrap();
        if let Some(arrived) = plays.get_mut(case).and_then(|play| play.arrived.get_mut(index)) {
            note(arrived);
        }
        self.changed.notify_all();
    }
}

/// Writes bytes, parted at these places.
pub fn say(stream: &mut TcpStream, bytes: &[u8], cuts: &[u16]) -> std::io::Result<()> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut from = 0;
    for place in places.into_iter().chain([bytes.len()]) {
        if place > from {
            stream.write_all(&bytes[from..place])?;
            stream.flush()?;
            std::thread::yield_now();
            from = place;
        }
    }
    Ok(())
}
