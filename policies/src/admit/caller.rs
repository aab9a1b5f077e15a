//! Who is calling, as far as it was asked.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::Ask;
use crate::access::Scopes;
use crate::headers::cookie;
use crate::identity::api_key::ApiCaller;
use crate::identity::cache::TokenCache;
use crate::identity::{Claims, Refused, TokenCheck};
use crate::plan::{CountedBy, Tokens};
use crate::spiffe::SpiffeId;
use crate::why::Witness;

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// What the token says, if one was demanded and verified.
    pub claims: Option<Arc<Claims>>,
    /// Whose API key it was, if one was demanded.
    pub key: Option<Arc<ApiCaller>>,
    /// The mesh identity of the caller, proved by its certificate.
    pub peer: Option<SpiffeId>,
    pub(super) tokens: Option<Arc<Tokens>>,
}

/// What a limit or a stickiness counts by. Two kinds of caller never share a bucket, even with the same text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Counted<'a> {
    Address(IpAddr),
    Claim(&'a str),
    Cookie(&'a str),
    Everyone,
    Header(&'a [u8]),
    Key(&'a str),
    Peer(&'a str),
    Subject(&'a str),
}

impl Counted<'_> {
    /// The caller as other replicas name it too. Not `Hash`: its bytes may change with the compiler.
    pub(super) fn digest(&self) -> [u8; 16] {
        let octets;
        let (kind, text): (&[u8], &[u8]) = match self {
            Self::Address(address) => {
                octets = match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                    IpAddr::V6(v6) => v6.octets(),
                };
                (b"address ", &octets)
            }
            Self::Claim(text) => (b"claim ", text.as_bytes()),
            Self::Cookie(text) => (b"cookie ", text.as_bytes()),
            Self::Everyone => (b"everyone", b""),
            Self::Header(text) => (b"header ", text),
            Self::Key(text) => (b"key ", text.as_bytes()),
            Self::Peer(text) => (b"peer ", text.as_bytes()),
            Self::Subject(text) => (b"subject ", text.as_bytes()),
        };
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(kind);
        context.update(text);
        let mut digest = [0; 16];
        digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        digest
    }
}

impl Caller {
    pub(super) fn unknown(ask: &Ask<'_>) -> Self {
        let peer = ask.incoming.peer.identity.clone();
        Self { address: ask.client, claims: None, key: None, peer, tokens: None }
    }

    /// The scopes of the token, else of the API key.
    pub(super) fn scopes(&self) -> &Scopes {
        static NONE: std::sync::LazyLock<Scopes> = std::sync::LazyLock::new(|| [].into_iter().collect());
        match (&self.claims, &self.key) {
            (Some(claims), _) => &claims.scopes,
            (None, Some(key)) => &key.scopes,
            (None, None) => &NONE,
        }
    }

    /// The user: the token's subject, else the owner of the API key, else the workload. Nobody, if nothing is known.
    pub(super) fn user(&self) -> Option<Counted<'_>> {
        let subject = self.claims.as_ref().and_then(|claims| claims.subject.as_deref()).map(Counted::Subject);
        let key = || self.key.as_ref().map(|key| Counted::Key(&key.name));
        let peer = || self.peer.as_ref().map(|peer| Counted::Peer(peer.as_str()));
        subject.or_else(key).or_else(peer)
    }

    /// By what this request is counted. Where the thing that is asked for is missing, by address: nobody escapes a
    /// limit by leaving out a header, and nobody shares a bucket with all who did.
    pub(super) fn counted<'a>(&'a self, by: &CountedBy, ask: &Ask<'a>) -> Counted<'a> {
        self.known(by, ask).unwrap_or_else(|| Counted::Address(subscriber(self.address)))
    }

    /// What is known of the caller, of the kind that is asked for.
    pub(super) fn known<'a>(&'a self, by: &CountedBy, ask: &Ask<'a>) -> Option<Counted<'a>> {
        let headers = &ask.incoming.head.headers;
        match by {
            CountedBy::Address => Some(Counted::Address(subscriber(self.address))),
            CountedBy::Claim(path) => {
                let claim = self.claims.as_ref().and_then(|claims| claims.find(path));
                claim.and_then(serde_json::Value::as_str).map(Counted::Claim)
            }
            CountedBy::Cookie(name) => cookie::find(headers, name).map(Counted::Cookie),
            CountedBy::Header(name) => headers.get(name).map(|value| Counted::Header(value.as_bytes())),
            CountedBy::Key => self.key.as_ref().map(|key| Counted::Key(&key.name)),
            CountedBy::Peer => self.peer.as_ref().map(|peer| Counted::Peer(peer.as_str())),
            CountedBy::Route => Some(Counted::Everyone),
            CountedBy::User => self.user(),
        }
    }

    /// The claims that go to the service, by header. The shell has removed what came under these names.
    pub fn forwarded(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        let forwards = self.tokens.iter().flat_map(|tokens| &tokens.forwards);
        forwards.filter_map(|(name, path)| {
            let value = self.claims.as_ref()?.find(path)?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some((name.clone(), HeaderValue::from_str(&text).ok()?))
        })
    }
}

/// One subscriber of an IPv6 network has 2^64 addresses; counted one by one they would have no limit at all.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Tokens {
    /// Finds and verifies the token of a request.
    pub(super) fn check(
        &self,
        cache: &TokenCache,
        ask: &Ask<'_>,
        why: &mut impl Witness,
    ) -> Result<Arc<Claims>, Refused> {
        let token = self.issuer.find(&ask.incoming.head.headers).map_err(Refused::Denial)?;
        TokenCheck { issuer: &self.issuer, keyring: &self.keyring, cache, last: ask.last }
            .verify(token, ask.now, ask.asked, why)
    }
}
