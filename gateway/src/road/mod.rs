//! The short road: one request, told in order by one function. Head, guard and admission (`Exchange::open`), pick
//! (`next_attempt`), send, answer, body, record (`close`).
//!
//! It takes HTTP/1.1 from the client to HTTP/1.1 at the target. What is hard goes to Pingora's `HttpProxy`, one request at
//! a time: upgrades, CONNECT, HTTP/1.0, `Expect`, targets that speak HTTP/2, routes that hedge. What was decided until then
//! goes with it ([`Handed`]).

mod answer;
mod client;
mod head;
mod line;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use http::Version;
use http::header::{EXPECT, UPGRADE};
use http::request::Parts;
use policies::document::target::Protocol;
use policies::guard::{End, Framings, Wire};
use policies::headers::hop::{Next, nominates};
use policies::verdict::{Denial, Fault};
use shell::exchange::{Attempt, Breakage, Broke, Connection, Core, Exchange, Head, Opening, Then, Watch};
use shell::listen::{Conn, Fence};

use self::answer::Answer;
use self::client::Client;
use self::line::{Line, Pool};
use self::upload::{Upload, Wrong};

/// The road of one worker.
pub struct Road {
    core: Arc<Core>,
    pool: Pool,
}

/// A request whose target does not speak what the road speaks: everything that was decided about it.
pub struct Handed {
    /// Its exchange, opened.
    pub exchange: Exchange,
    /// Its first attempt, begun.
    pub attempt: Attempt,
}

/// Where a request has come to.
pub enum Came {
    /// It is answered, and the connection may bring another.
    Back(Conn),
    /// It is over, and so is the connection.
    Gone,
    /// Somebody else has to carry it.
    On(Conn, Bytes, Box<Handed>),
}

/// What is left when a request is over.
enum Over {
    /// Both ends are in step: the connection may bring another.
    Well,
    /// The connection ends after what was written.
    Last,
    /// What was written is half of something: the connection is cut.
    Broken,
    Hand(Box<Handed>),
}

/// A head that the road can take.
pub struct Taken {
    parts: Parts,
    target: Bytes,
}

/// Reads a head, if it is one of those the road takes.
pub fn take(head: &Bytes) -> Option<Taken> {
    let (parts, target) = head::request(head)?;
    let hard = parts.version != Version::HTTP_11
        || parts.method == http::Method::CONNECT
        || parts.headers.contains_key(UPGRADE)
        || parts.headers.contains_key(EXPECT);
    (!hard).then_some(Taken { parts, target })
}

impl Road {
    /// The road of one worker, with connections of its own.
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, pool: Pool::default() }
    }

    /// Closes connections that have rested too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Carries one request whose head has been read and vetted, and whose body the connection's fence holds.
    pub async fn travel(&self, conn: Conn, head: Bytes, taken: Taken, fence: Fence) -> Came {
        let watch = Arc::<Watch>::default();
        let mut client = Client::new(conn, taken.parts, taken.target);
        let carried = watch.clone().hold(Box::pin(self.carry(&mut client, fence, watch.clone()))).await;
        let over = match carried {
            Ok(over) => over,
            // Its time was over.
            Err(_) => match watch.last_words().filter(|_| !client.has_begun()) {
                Some(reply) => match client.reply(reply, Connection::Close).await {
                    Ok(()) => Over::Last,
                    Err(_) => Over::Broken,
                },
                None => Over::Broken,
            },
        };
        let last = client.is_last();
        let conn = client.into_conn();
        match over {
            Over::Well if !last && !conn.has_unread() => Came::Back(conn),
            Over::Well | Over::Last => {
                conn.close().await;
                Came::Gone
            }
            Over::Broken => Came::Gone,
            Over::Hand(handed) => Came::On(conn, head, handed),
        }
    }

    async fn carry(&self, client: &mut Client, fence: Fence, watch: Arc<Watch>) -> Over {
        let mut exchange = Exchange::begin(self.core.clone(), watch);
        exchange.tidy(&mut client.parts.headers);
        let wire = Wire { end: End::Later, framing: Framings::OneOrNone };
        let Some(facts) = client.facts() else { return Over::Broken };
        let head = Head { parts: &client.parts, target: &client.target, wire };
        match exchange.open(head, facts).await {
            Opening::Forward => {}
            Opening::Reply(reply, connection) => {
                if exchange.is_last() {
                    client.ends();
                }
                let replied = client.reply(reply, connection).await;
                exchange.close();
                return ended(replied.is_ok(), connection);
            }
            // Only a sidecar's outbound door lets pass what nobody declared.
            Opening::Pass(..) => return Over::Broken,
        }
        let mut upload = Upload::new(fence, exchange.upload_meter(), exchange.replay_max());
        loop {
            let then = match exchange.next_attempt(&client.parts).await {
                Err(then) => then,
                Ok(attempt) if attempt.endpoints.shape.protocol != Protocol::Http1 => {
                    return Over::Hand(Box::new(Handed { exchange, attempt }));
                }
                Ok(attempt) => match self.attempt(client, &mut exchange, &mut upload, &attempt).await {
                    Ok(answer) => {
                        let passed = answer.pass(client, &mut exchange, &mut upload).await;
                        exchange.uploaded(upload.bytes());
                        exchange.close();
                        return self.after(passed);
                    }
                    Err(then) => then,
                },
            };
            match then {
                Then::Again => {}
                Then::Reply(reply) => {
                    exchange.uploaded(upload.bytes());
                    let connection = upload.connection();
                    let replied = client.reply(*reply, connection).await;
                    exchange.close();
                    return ended(replied.is_ok(), connection);
                }
                Then::BreakOff | Then::PassOn => {
                    exchange.uploaded(upload.bytes());
                    exchange.close();
                    return Over::Broken;
                }
            }
        }
    }

    /// Makes one attempt: an answer whose head is judged and passes, or what comes next.
    async fn attempt(
        &self,
        client: &mut Client,
        exchange: &mut Exchange,
        upload: &mut Upload,
        attempt: &Attempt,
    ) -> Result<Answer, Then> {
        let mut line = match self.pool.line(attempt).await {
            Ok(line) => line,
            Err(fault) => return Err(exchange.failed(unreachable(fault, upload))),
        };
        let head = match outgoing(client, exchange) {
            Ok(head) => head,
            Err(then) => {
                // What the client sent makes no sense: what follows it may make none either.
                client.ends();
                return Err(then);
            }
        };
        upload.begin(head);
        loop {
            let read = line.head(client, upload, attempt.patience.answer).await;
            let (mut head, reusable) = match read {
                Ok(read) => read,
                Err(broken) => {
                    if matches!(broken, Broken::Client(_)) {
                        client.ends();
                    }
                    return Err(broken.told(exchange, upload, &line));
                }
            };
            let body = exchange.answered(&head, upload.replayable());
            match body {
                Ok(_) if head.status.is_informational() => {
                    exchange.dress_answer(&mut head.headers, &client.parts.headers, Next::Http1);
                    if client.interim(&head).await.is_err() {
                        return Err(exchange.broke(Breakage::Client(Fault::ClientGone)));
                    }
                }
                Ok(body) => {
                    return Ok(Answer { line, head, body, reusable, silence: attempt.patience.silence });
                }
                Err(then) => {
                    line.discard(&head, reusable, &self.pool).await;
                    return Err(then);
                }
            }
        }
    }

    fn after(&self, passed: Result<Option<Line>, answer::Torn>) -> Over {
        match passed {
            Ok(line) => {
                if let Some(line) = line {
                    self.pool.rest(line);
                }
                Over::Well
            }
            Err(answer::Torn) => Over::Broken,
        }
    }
}

fn ended(written: bool, connection: Connection) -> Over {
    match (written, connection) {
        (true, Connection::Keep) => Over::Well,
        (true, Connection::Close) => Over::Last,
        (false, _) => Over::Broken,
    }
}

/// The head as the target gets it.
fn outgoing(client: &Client, exchange: &mut Exchange) -> Result<bytes::BytesMut, Then> {
    let mut fields = client.parts.headers.clone();
    if let Err(denial) = exchange.dress_request(&mut fields) {
        return Err(exchange.malformed(denial));
    }
    let target = exchange.outgoing_target();
    if let Some(host) = exchange.outgoing_host() {
        match http::HeaderValue::try_from(host) {
            Ok(host) => drop(fields.insert(http::header::HOST, host)),
            Err(_) => return Err(exchange.malformed(Denial::BadTarget)),
        }
    }
    Ok(head::outgoing(&client.parts.method, &target, &fields))
}

fn unreachable(fault: Fault, upload: &Upload) -> Broke {
    let body = upload.replayable();
    Broke { fault, sent: policies::resilience::repeat::Sent::Nothing, body, stale: false }
}

/// Does the client want the connection to end with the answer?
fn wants_close(parts: &Parts) -> bool {
    nominates(&parts.headers, "close")
}

/// How the way to the target, or back, was broken.
#[derive(Clone, Copy)]
enum Broken {
    /// By the client, or by what it sent.
    Client(Wrong),
    /// At the target.
    Target(Fault),
}

impl Broken {
    fn told(self, exchange: &mut Exchange, upload: &Upload, line: &Line) -> Then {
        match self {
            Self::Client(Wrong::Client(fault)) => exchange.broke(Breakage::Client(fault)),
            Self::Client(Wrong::Malformed) => exchange.malformed(Denial::BadBody),
            Self::Client(Wrong::Misfit(misfit)) => exchange.unfit(misfit),
            Self::Target(fault) => {
                let (body, sent) = (upload.replayable(), upload.sent());
                let stale = line.is_reused() && !line.has_answered() && fault == Fault::UpstreamReset;
                exchange.broke(Breakage::Target(Broke { fault, sent, body, stale }))
            }
        }
    }
}
