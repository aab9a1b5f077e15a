//! Refuses what is malformed or could be read in two ways, before any policy looks at it; and normalises the path
//! once, so that routing, access and the forwarded bytes use one string.
//!
//! Read [`inspect`] first: it turns an [`Incoming`] into a [`Clean`], and everything after it looks at the `Clean`.
//! [`inspect_answer`] does the same for what the service sends back, and [`BodyMeter`] watches a body go by, so
//! that a truncated one is never delivered as complete. The guard knows nothing of routes and settings of routes:
//! what it refuses, it refuses everywhere.
//!
//! Where HTTP allows a recipient to repair a message, the guard refuses it instead: the peer before us or behind us
//! may repair it differently, and smuggling lives in that difference.

mod answer;
mod chunks;
mod detect;
mod fields;
mod framing;
mod host;
mod meter;
mod method;
pub mod path;
pub mod raw;
mod refusal;
mod rules;
mod target;
mod upgrade;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::Version;

pub use crate::headers::hop::Upgrade;
use crate::request::Incoming;
use crate::verdict::Denial;
use crate::why::Witness;

pub use answer::{AnswerBody, Asked, inspect_answer};
pub use chunks::{Chunks, Piece, Unchunked};
pub use detect::Looks;
pub use fields::drop_underscored;
pub use framing::Body;
pub use meter::{BodyMeter, Ended, Misfit};
pub use path::{PathRules, Separators, Slashes};
pub use refusal::Refusal;
pub use rules::{FieldLimits, Permission, Rules, Underscores, Unoffered};
pub use target::Form;

/// What only the connection saw of a request, told by the shell. The default is "nothing odd".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wire {
    /// Does the message end with its head? An HTTP/2 HEADERS frame says so by END_STREAM.
    pub end: End,
    /// How many ways of framing the head named before a library repaired it.
    pub framing: Framings,
}

/// Where a message ends, as far as the connection knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum End {
    /// Something may follow the head.
    #[default]
    Later,
    /// Nothing follows the head.
    WithHead,
}

/// Did the head on the wire name one way to find the end of the body, or two?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Framings {
    /// Content-Length and Transfer-Encoding both. Pingora drops the first before anybody else sees the head; the
    /// shell says so here.
    Both,
    /// At most one, as the header fields show.
    #[default]
    OneOrNone,
}

/// A request that can be read in one way only. Only [`inspect`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clean<'a> {
    /// How the body ends.
    pub body: Body,
    /// Which form the target had.
    pub form: Form,
    /// The host asked for: lower case, no port, no trailing dot; IPv6 in brackets and in its shortest spelling.
    /// Empty only for HTTP/1.0 without a Host.
    pub host: Cow<'a, str>,
    /// The normalised path. Begins with `/`, except for the `*` of [`Form::Asterisk`].
    pub path: Cow<'a, str>,
    /// The port asked for, if one was named.
    pub port: Option<u16>,
    /// What stood after the first `?`, untouched.
    pub query: Option<&'a str>,
    /// The protocol the client wants to change to, if it is one we offer.
    pub upgrade: Option<Upgrade>,
    sent: &'a str,
}

impl Clean<'_> {
    /// The target for the next hop: the very path the policies judged, and the query. Allocates only if the path
    /// was repaired and has a query. For [`Form::Authority`] this is `/`: a tunnel is opened by host and port.
    pub fn target(&self) -> Cow<'_, str> {
        let Some(query) = self.query else { return Cow::Borrowed(&self.path) };
        let rest = self.sent.strip_prefix(&*self.path).and_then(|rest| rest.strip_prefix('?'));
        if rest == Some(query) {
            Cow::Borrowed(self.sent)
        } else {
            Cow::Owned(format!("{}?{query}", self.path))
        }
    }
}

/// Looks a request over. `Err` is the answer to give; the reason in words goes to `why`, never to the client.
///
/// Call it first, once, for every request. After a refusal the body was not read, so the connection must be closed
/// or drained: what follows on it may be a second request hidden in the first.
pub fn inspect<'a>(
    incoming: &Incoming<'a>,
    wire: Wire,
    rules: &Rules,
    why: &mut impl Witness,
) -> Result<Clean<'a>, Denial> {
    examine(incoming, wire, rules).map_err(|refusal| {
        why.note("guard", || refusal.because.to_owned());
        refusal.denial
    })
}

fn examine<'a>(incoming: &Incoming<'a>, wire: Wire, rules: &Rules) -> Result<Clean<'a>, Refusal> {
    let head = incoming.head;
    spoken(head.version)?;
    method::check(&head.method, rules)?;
    fields::check_request(head, rules)?;
    let target = target::read(incoming, rules)?;
    let authority = host::agreed(incoming, &target)?;
    let body = framing::of_request(head, wire)?;
    let upgrade = upgrade::wanted(head, body, rules)?;
    let path = match target.form {
        Form::Asterisk | Form::Authority => Cow::Borrowed(target.path),
        Form::Origin => path::normalise(target.path, &rules.path)?,
    };
    Ok(Clean {
        body,
        form: target.form,
        host: authority.host,
        path,
        port: authority.port,
        query: target.query,
        upgrade,
        sent: target.sent,
    })
}

fn spoken(version: Version) -> Result<(), Refusal> {
    match version {
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => Ok(()),
        _ => Err(Refusal::new(Denial::BadVersion, "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here")),
    }
}
