//! Connections that are open to endpoints. HTTP/1 ones rest here between requests; an HTTP/2 one is shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use policies::document::target::Protocol;
use policies::resilience::repeat::Sent;
use policies::verdict::Fault;
use shell::upstream::Shape;
use tower::Service;

use super::{Connector, Place, Ready};
use crate::body::Outgoing;

/// How often an HTTP/2 connection with streams is asked whether it lives, and how long it may think about it.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_WITHIN: Duration = Duration::from_secs(10);
/// How much of one HTTP/2 stream may be in flight, and of all on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How often resting connections are looked over.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Connections to one endpoint that are made alike.
type Key = u64;

type Shared = Arc<tokio::sync::Mutex<Option<(http2::SendRequest<Outgoing>, Instant)>>>;

/// All connections of a worker.
pub struct Client {
    connector: Connector,
    resting: Mutex<HashMap<Key, Vec<Resting>>>,
    shared: Mutex<HashMap<Key, Shared>>,
}

struct Resting {
    sender: http1::SendRequest<Outgoing>,
    born: Instant,
    since: Instant,
    shape: Arc<Shape>,
}

/// A connection in use; an HTTP/1 one goes back when it is given back, and is closed when it is dropped.
pub struct Kept {
    client: Arc<Client>,
    key: Key,
    sender: Sender,
    born: Instant,
    shape: Arc<Shape>,
}

enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

impl Client {
    /// None open yet.
    pub fn new(connector: Connector) -> Arc<Self> {
        Arc::new(Self { connector, resting: Mutex::default(), shared: Mutex::default() })
    }

    /// Connections that rest.
    pub fn resting(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Resting>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to this place that can take a request.
    pub async fn to(self: &Arc<Self>, place: Place) -> Result<Ready, Fault> {
        let (key, shape) = (place.peer.print, place.shape.clone());
        match shape.protocol {
            Protocol::Http2 | Protocol::H2c => self.stream(key, place, shape).await,
            Protocol::Http1 | Protocol::Tcp => match self.rested(key) {
                Some(kept) => Ok(Ready { kept, reused: true }),
                None => self.fresh(key, place, shape).await,
            },
        }
    }

    fn rested(self: &Arc<Self>, key: Key) -> Option<Kept> {
        let mut resting = self.lock();
        let all = resting.get_mut(&key)?;
        let now = Instant::now();
        // The one that rested least is the likeliest to be alive; those that are not ready yet may be in a moment.
        let mut at = all.len();
        while at > 0 {
            at -= 1;
            let one = all.get(at)?;
            if one.sender.is_closed() || one.is_old(now) {
                all.remove(at);
            } else if one.sender.is_ready() {
                let one = all.remove(at);
                let sender = Sender::Http1(one.sender);
                return Some(Kept { client: self.clone(), key, sender, born: one.born, shape: one.shape });
            }
        }
        None
    }

    async fn fresh(self: &Arc<Self>, key: Key, place: Place, shape: Arc<Shape>) -> Result<Ready, Fault> {
        let stream = self.connector.clone().call(place).await?;
        let shaken = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|_| Fault::ConnectFailed)?;
        tokio::spawn(async move {
            // What becomes of it is told to whoever uses it.
            let _ = connection.with_upgrades().await;
        });
        let sender = Sender::Http1(sender);
        let kept = Kept { client: self.clone(), key, sender, born: Instant::now(), shape };
        Ok(Ready { kept, reused: false })
    }

    /// A stream on the endpoint's one HTTP/2 connection. Who comes while it is being made waits for it.
    async fn stream(self: &Arc<Self>, key: Key, place: Place, shape: Arc<Shape>) -> Result<Ready, Fault> {
        let shared = {
            let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(key).or_default().clone()
        };
        let within = place.within;
        let take = async {
            let mut one = shared.lock().await;
            if let Some((sender, born)) = &*one
                && !sender.is_closed()
                && born.elapsed() < shape.age
            {
                return Ok((sender.clone(), *born, true));
            }
            let stream = self.connector.clone().call(place).await?;
            let shaken = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_WITHIN)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(TokioIo::new(stream))
                .await;
            let (sender, connection) = shaken.map_err(|_| Fault::ConnectFailed)?;
            tokio::spawn(connection);
            let born = Instant::now();
            *one = Some((sender.clone(), born));
            Ok((sender, born, false))
        };
        let (sender, born, reused) =
            tokio::time::timeout(within, take).await.unwrap_or(Err(Fault::ConnectTimeout))?;
        let kept = Kept { client: self.clone(), key, sender: Sender::Http2(sender), born, shape };
        Ok(Ready { kept, reused })
    }

    /// Closes what has rested for too long, again and again, until nobody uses the client any more.
    pub async fn sweep(self: Arc<Self>) {
        let client = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let Some(client) = client.upgrade() else { return };
            let now = Instant::now();
            client.lock().retain(|_, all| {
                all.retain(|one| !one.sender.is_closed() && !one.is_old(now));
                !all.is_empty()
            });
            let mut shared = client.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.retain(|_, one| match one.try_lock() {
                Ok(one) => one.as_ref().is_some_and(|(sender, _)| !sender.is_closed()),
                Err(_) => true,
            });
        }
    }
}

impl Resting {
    fn is_old(&self, now: Instant) -> bool {
        now - self.since >= self.shape.idle_for || now - self.born >= self.shape.age
    }
}

impl Kept {
    pub(super) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, (hyper::Error, Sent)> {
        let sent = match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| {
            // Who gets his request back knows that nothing of it has left.
            let sent = if error.take_message().is_some() { Sent::Nothing } else { Sent::Something };
            (error.into_error(), sent)
        })
    }

    /// The answer has passed: the next request may come.
    pub fn give_back(self) {
        let Sender::Http1(sender) = self.sender else { return };
        let now = Instant::now();
        let one = Resting { sender, born: self.born, since: now, shape: self.shape };
        if one.sender.is_closed() || one.is_old(now) {
            return;
        }
        let mut resting = self.client.lock();
        let all = resting.entry(self.key).or_default();
        if all.len() < one.shape.idle_max {
            all.push(one);
        }
    }
}
