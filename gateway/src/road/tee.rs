//! A copy of a request and of its answer, for whoever wants to look at them afterwards. It is given piece by piece into a
//! bounded channel and never waited for: when there is no room it ends there, is counted as lost, and the request goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, request, response};
use tokio::sync::mpsc;

/// What is copied, in the order in which it comes. A copy is whole if it ends with [`Piece::AnswerEnd`]; an early answer may
/// end before the request does.
#[derive(Clone, Debug)]
pub enum Piece {
    /// The head of the request, as its target got it first.
    Request(Box<request::Parts>),
    /// Some of its body.
    RequestBody(Bytes),
    /// All of it has come.
    RequestEnd,
    /// The head of the answer, as the client gets it.
    Answer(Box<response::Parts>),
    /// Some of its body.
    AnswerBody(Bytes),
    /// All of it has come.
    AnswerEnd,
}

/// How much a copy may take.
#[derive(Clone, Debug)]
pub struct Room {
    /// So many pieces may wait to be looked at.
    pub pieces: usize,
    /// So many bytes of both bodies are copied.
    pub bytes: usize,
    /// Counts the copies that there was no room for.
    pub lost: Arc<AtomicU64>,
}

/// Where a copy goes in.
#[derive(Debug)]
pub struct Tee {
    to: Option<mpsc::Sender<Piece>>,
    begun: bool,
    request_over: bool,
    bytes_left: usize,
    lost: Arc<AtomicU64>,
}

impl Tee {
    /// A copy that has this much room, and where it comes out.
    pub fn new(room: &Room) -> (Self, mpsc::Receiver<Piece>) {
        let (to, out) = mpsc::channel(room.pieces.max(1));
        (
            Self {
                to: Some(to),
                begun: false,
                request_over: false,
                bytes_left: room.bytes,
                lost: room.lost.clone(),
            },
            out,
        )
    }

    /// Copies the head of the request when it is first sent.
    pub fn request(&mut self, method: &Method, target: &str, fields: &HeaderMap) {
        if std::mem::replace(&mut self.begun, true) || self.to.is_none() {
            return;
        }
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = method.clone();
        head.uri = target.parse().unwrap_or_default();
        head.headers = fields.clone();
        self.give(Piece::Request(head.into()));
    }

    /// Copies a part of the request's body.
    pub fn request_body(&mut self, bytes: &[u8]) {
        if self.has_room_for(bytes) {
            self.give(Piece::RequestBody(Bytes::copy_from_slice(bytes)));
        }
    }

    /// All of the request has come, though it may be sent again.
    pub fn request_end(&mut self) {
        if !std::mem::replace(&mut self.request_over, true) {
            self.give(Piece::RequestEnd);
        }
    }

    /// Copies a part of the answer's body.
    pub fn answer_body(&mut self, bytes: &[u8]) {
        // A copy: a slice would hold all of the buffer that it was read into.
        if self.has_room_for(bytes) {
            self.give(Piece::AnswerBody(Bytes::copy_from_slice(bytes)));
        }
    }

    /// Copies what is no body.
    pub fn give(&mut self, piece: Piece) {
        match self.to.as_ref().map(|to| to.try_send(piece)) {
            Some(Err(mpsc::error::TrySendError::Full(_))) => self.lose(),
            // Whoever wanted it wants it no more.
            Some(Err(mpsc::error::TrySendError::Closed(_))) => self.to = None,
            Some(Ok(())) | None => {}
        }
    }

    fn has_room_for(&mut self, bytes: &[u8]) -> bool {
        let left = self.bytes_left.checked_sub(bytes.len()).filter(|_| self.to.is_some());
        match left {
            Some(left) => self.bytes_left = left,
            None => self.lose(),
        }
        left.is_some()
    }

    /// Ends the copy where it is.
    fn lose(&mut self) {
        if self.to.take().is_some() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn room(pieces: usize, bytes: usize) -> Room {
        Room { pieces, bytes, lost: Arc::default() }
    }

    fn exchange(tee: &mut Tee) {
        let (answered, ()) = http::Response::builder().status(201).body(()).unwrap().into_parts();
        for _ in 0..2 {
            tee.request(&Method::POST, "/orders", &HeaderMap::new());
        }
        tee.request_body(b"two ");
        tee.request_body(b"pears");
        tee.request_end();
        tee.request_end();
        tee.give(Piece::Answer(answered.into()));
        tee.answer_body(b"done");
        tee.give(Piece::AnswerEnd);
    }

    /// The pieces as text, and whether that was all of them.
    fn told(mut out: mpsc::Receiver<Piece>) -> String {
        let mut told = Vec::new();
        while let Some(piece) = out.blocking_recv() {
            told.push(match piece {
                Piece::Request(head) => format!("{} {}", head.method, head.uri),
                Piece::RequestBody(bytes) | Piece::AnswerBody(bytes) => {
                    String::from_utf8(bytes.to_vec()).unwrap()
                }
                Piece::RequestEnd => ".".into(),
                Piece::Answer(head) => head.status.as_str().into(),
                Piece::AnswerEnd => "!".into(),
            });
        }
        told.join("|")
    }

    #[test]
    fn a_copy_is_whole_or_ends_where_there_was_no_room_and_is_counted_once() {
        for (pieces, bytes, lost, expected) in [
            (7, 13, 0, "POST /orders|two |pears|.|201|done|!"),
            (7, 12, 1, "POST /orders|two |pears|.|201"),
            (7, 8, 1, "POST /orders|two "),
            (7, 0, 1, "POST /orders"),
            (6, 13, 1, "POST /orders|two |pears|.|201|done"),
            (1, 13, 1, "POST /orders"),
        ] {
            let room = room(pieces, bytes);
            let (mut tee, out) = Tee::new(&room);
            exchange(&mut tee);
            drop(tee);
            assert_eq!(told(out), expected, "{pieces} pieces, {bytes} bytes");
            assert_eq!(room.lost.load(Ordering::Relaxed), lost, "{pieces} pieces, {bytes} bytes");
        }
    }

    #[test]
    fn a_copy_that_nobody_wants_any_more_is_not_lost() {
        let room = room(7, 13);
        let (mut tee, out) = Tee::new(&room);
        drop(out);
        exchange(&mut tee);
        assert_eq!(room.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_taken_out_makes_room() {
        let room = room(1, 100);
        let (mut tee, mut out) = Tee::new(&room);
        for _ in 0..10 {
            tee.request_body(b"ten bytes.");
            assert!(matches!(out.try_recv(), Ok(Piece::RequestBody(_))));
        }
        tee.request_body(b"!");
        assert!(out.blocking_recv().is_none());
        assert_eq!(room.lost.load(Ordering::Relaxed), 1);
    }
}
