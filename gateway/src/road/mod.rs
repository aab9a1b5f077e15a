//! The short road: one request, told in order by one function. Head, guard and admission (`Exchange::open`), pick
//! (`next_attempt`), send, answer, body, record (`close`).
//!
//! It takes requests of HTTP/1.0, HTTP/1.1 and HTTP/2 ([`client`]) to targets that speak HTTP/1.1, and upgrades. What is left
//! goes to Pingora's `HttpProxy`, one request at a time: targets that speak HTTP/2, since its pool and its flow control are
//! the larger half of a client of that version. What was decided until then goes with it ([`Handed`]).

mod answer;
mod buffers;
mod client;
mod head;
mod line;
mod tee;
mod tunnel;
mod upload;

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use pingora::protocols::http::v2::server::HttpSession;
use policies::document::target::Protocol;
use policies::guard::{AnswerBody, raw};
use policies::time::Tick;
use policies::verdict::{Denial, Fault};
use shell::alarm::Alarm;
use shell::exchange::{Attempt, Breakage, Broke, Connection, Core, Exchange, Head, Opening, Then, Watch};
use shell::listen::{Conn, Facts, Fence};

use self::answer::Answer;
use self::buffers::Buffer;
use self::client::{Client, Http1, Http2};
use self::line::{Line, Pool};
pub use self::tee::{Piece, Room, Tee};
use self::upload::{Upload, Wrong};

/// The road of one worker.
pub struct Road {
    core: Arc<Core>,
    pool: Pool,
    copies: Option<Copies>,
}

/// Says whether somebody wants a copy of a request that has been let in.
pub type Copies = Box<dyn Fn(&Parts) -> Option<Tee> + Send + Sync>;

/// A request whose target does not speak what the road speaks: everything that was decided about it.
pub struct Handed {
    /// Its exchange, opened.
    pub exchange: Exchange,
    /// Its first attempt, begun.
    pub attempt: Attempt,
    /// Holds it to its deadline, whoever carries it.
    pub watch: Arc<Watch>,
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
    /// What was written is half of something: the connection is cut, the stream reset.
    Broken,
    Hand(Box<Handed>),
}

impl Road {
    /// The road of one worker, with connections of its own.
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, pool: Pool::default(), copies: None }
    }

    /// Gives copies away of what goes by.
    #[must_use]
    pub fn copying(self, copies: Copies) -> Self {
        Self { copies: Some(copies), ..self }
    }

    /// Closes connections that have rested too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Carries one request of HTTP/1 whose head has been read and vetted, and whose body the connection's fence holds.
    pub async fn request(
        &self,
        conn: Conn,
        head: Bytes,
        read: raw::Request,
        fence: Fence,
        alarm: &mut Alarm,
    ) -> Came {
        let mut client = Client::Http1(Http1::new(conn, read.parts, read.target, fence));
        let over = self.travel(&mut client, alarm).await;
        let Some((conn, last)) = client.into_conn() else { return Came::Gone };
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

    /// Carries one request of HTTP/2; gives it back if somebody else has to.
    pub async fn stream(&self, stream: HttpSession, facts: Arc<Facts>) -> Option<(HttpSession, Box<Handed>)> {
        let mut client = Client::Http2(Box::new(Http2::new(stream, facts)));
        match self.travel(&mut client, &mut Alarm::default()).await {
            Over::Well | Over::Last => None,
            Over::Broken => {
                client.reset();
                None
            }
            Over::Hand(handed) => Some((client.into_stream()?, handed)),
        }
    }

    async fn travel(&self, client: &mut Client, alarm: &mut Alarm) -> Over {
        let watch = Arc::<Watch>::default();
        let carried = watch.hold(alarm, pin!(self.carry(client, &watch))).await;
        match carried {
            Ok(over) => over,
            // Its time was over.
            Err(_) => match watch.last_words().filter(|_| !client.has_begun()) {
                Some(reply) => match client.reply(reply, Connection::Close).await {
                    Ok(()) => Over::Last,
                    Err(_) => Over::Broken,
                },
                None => Over::Broken,
            },
        }
    }

    async fn carry(&self, client: &mut Client, watch: &Arc<Watch>) -> Over {
        let mut exchange = Exchange::begin(self.core.clone(), watch.clone());
        client.tidy(&exchange);
        let Some(facts) = client.facts() else { return Over::Broken };
        let head = Head { parts: client.parts(), target: client.target(), wire: client.wire() };
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
        let mut upload = Upload::new(exchange.upload(), exchange.upload_meter(), exchange.replay_max());
        upload.copy = self.copies.as_ref().and_then(|copies| copies(client.parts()));
        loop {
            let then = match exchange.next_attempt(client.parts()).await {
                Err(then) => then,
                Ok(attempt) if attempt.endpoints.shape.protocol != Protocol::Http1 => {
                    let watch = watch.clone();
                    return Over::Hand(Box::new(Handed { exchange, attempt, watch }));
                }
                Ok(attempt) => {
                    match self.attempt(client, &mut exchange, &mut upload, watch, &attempt).await {
                        Ok(answer) => {
                            let passed = answer.pass(client, &mut exchange, &mut upload, watch).await;
                            exchange.uploaded(upload.bytes());
                            exchange.close();
                            return self.after(passed, exchange.now());
                        }
                        Err(then) => then,
                    }
                }
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
        watch: &Watch,
        attempt: &Attempt,
    ) -> Result<Answer, Then> {
        let mut line = match self.pool.line(attempt, exchange.now()).await {
            Ok(line) => line,
            Err(fault) => return Err(exchange.failed(unreachable(fault, upload))),
        };
        let head = match outgoing(client, exchange, upload) {
            Ok(head) => head,
            Err(then) => {
                // What the client sent makes no sense: what follows it may make none either.
                client.ends();
                return Err(then);
            }
        };
        upload.begin(head);
        loop {
            let read = line.head(client, upload, watch, attempt.patience.answer).await;
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
                Ok(body) if head.status.is_informational() && body != AnswerBody::Tunnel => {
                    exchange.dress_answer(&mut head.headers, &client.parts().headers, client.speaks());
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

    fn after(&self, passed: Result<Option<Line>, answer::Torn>, now: Tick) -> Over {
        match passed {
            Ok(line) => {
                if let Some(line) = line {
                    self.pool.rest(line, now);
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
fn outgoing(client: &Client, exchange: &mut Exchange, upload: &mut Upload) -> Result<Buffer, Then> {
    let parts = client.parts();
    let mut fields = parts.headers.clone();
    if let Err(denial) = exchange.dress_request(&mut fields) {
        return Err(exchange.malformed(denial));
    }
    let target = exchange.outgoing_target();
    if let Some(host) = exchange.outgoing_host() {
        fields.insert(HOST, host);
    }
    if upload.is_in_chunks() {
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(tee) = &mut upload.copy {
        tee.request(&parts.method, &target, &fields);
    }
    Ok(head::outgoing(&parts.method, &target, &fields))
}

fn unreachable(fault: Fault, upload: &Upload) -> Broke {
    let body = upload.replayable();
    Broke { fault, sent: policies::resilience::repeat::Sent::Nothing, body, stale: false }
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
