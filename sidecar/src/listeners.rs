//! Addresses of our own on which the app reaches one target each. They come and go with the document; one that cannot be
//! had refuses the document.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policies::plan::Plan;
use shell::listen::{ListenAt, Phase, Socket, Sockets, Speaks};
use tokio::sync::{mpsc, watch};

/// A socket for one worker, and whom it reaches.
pub struct Opened {
    /// The socket.
    pub socket: Socket,
    /// The name of the target.
    pub name: Arc<str>,
    /// Ends with the address.
    pub phase: watch::Receiver<Phase>,
}

/// What is listened on: for each target the address it was given in the document.
pub struct Listeners {
    open: Mutex<BTreeMap<Arc<str>, Open>>,
    workers: Vec<mpsc::UnboundedSender<Opened>>,
}

struct Open {
    wanted: SocketAddr,
    at: SocketAddr,
    phase: watch::Sender<Phase>,
}

impl Listeners {
    /// None yet; and where each of so many workers hears of them.
    pub fn new(workers: usize) -> (Self, Vec<mpsc::UnboundedReceiver<Opened>>) {
        let (workers, ends) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        (Self { open: Mutex::default(), workers }, ends)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where each target is reached, port 0 resolved.
    pub fn places(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.lock().iter().map(|(name, open)| (name.clone(), open.at)).collect()
    }

    /// Binds what a plan wants and is not there yet. Nothing is listened on, and nothing closed, until what is returned is called.
    pub fn prepare(self: &Arc<Self>, plan: &Plan) -> Result<Box<dyn FnOnce() + Send>, Vec<String>> {
        let wanted: BTreeMap<Arc<str>, SocketAddr> = plan
            .calls
            .iter()
            .filter_map(|call| Some((call.target.name.as_str().into(), call.listen?)))
            .collect();
        let (mut bound, mut bad) = (Vec::new(), Vec::new());
        for (name, at) in &wanted {
            if self.lock().get(name).is_some_and(|open| open.wanted == *at) {
                continue;
            }
            match Sockets::bind(&[(ListenAt::Tcp(*at), Speaks::Plain)], self.workers.len()) {
                Ok(sockets) => bound.push((name.clone(), *at, sockets)),
                Err(error) => bad.push(format!("calls/{name}/listen: {error}")),
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let listeners = self.clone();
        Ok(Box::new(move || listeners.apply(&wanted, bound)))
    }

    fn apply(&self, wanted: &BTreeMap<Arc<str>, SocketAddr>, bound: Vec<(Arc<str>, SocketAddr, Sockets)>) {
        let mut open = self.lock();
        open.retain(|name, open| {
            let stays = wanted.get(name) == Some(&open.wanted);
            if !stays {
                open.phase.send_replace(Phase::Draining);
            }
            stays
        });
        for (name, wanted, sockets) in bound {
            let at = sockets.places().first().and_then(|(at, _)| match at {
                ListenAt::Tcp(at) => Some(*at),
                ListenAt::Unix(_) => None,
            });
            let (phase, heard) = watch::channel(Phase::Serving);
            for (worker, share) in self.workers.iter().zip(sockets.shares(self.workers.len())) {
                for socket in share {
                    let opened = Opened { socket, name: name.clone(), phase: heard.clone() };
                    // A worker that is gone listens to nothing any more.
                    let _ = worker.send(opened);
                }
            }
            open.insert(name, Open { wanted, at: at.unwrap_or(wanted), phase });
        }
    }

    /// Ends all of them.
    pub fn close(&self) {
        for open in self.lock().values() {
            open.phase.send_replace(Phase::Draining);
        }
    }
}
