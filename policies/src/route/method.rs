//! Sets of methods in sixteen bits, so that the common case never leaves a candidate's own cache line.

use http::Method;

/// The methods the HTTP library knows by name, in the order they stand in an `Allow` header. Bit n is entry n.
pub(super) static KNOWN: [Method; 10] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::QUERY,
    Method::TRACE,
    Method::CONNECT,
];

/// A set of methods: those a route names, or the one of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Methods(u16);

impl Methods {
    /// What a route without methods answers.
    pub(super) const ANY: Self = Self(1 << 15);
    /// None.
    pub(super) const NONE: Self = Self(0);
    /// At least one method outside [`KNOWN`]; which, the pattern says.
    pub(super) const OTHER: Self = Self(1 << 14);

    const GET: Self = Self(1);
    const HEAD: Self = Self(2);

    /// The set a route names.
    pub(super) fn of(methods: &[Method]) -> Self {
        let named = |set: Self, method| set.and(Self::bit(method));
        if methods.is_empty() { Self::ANY } else { methods.iter().fold(Self::NONE, named) }
    }

    /// The set of one.
    pub(super) fn bit(method: &Method) -> Self {
        match KNOWN.iter().position(|known| known == method) {
            Some(bit) => Self(1 << bit),
            None => Self::OTHER,
        }
    }

    /// Everything in either.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Has it anything of `other`?
    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What a route may name to answer a request with this method. RFC 9110 §9.3.2: HEAD "is identical to GET
    /// except that the server MUST NOT send content", so whoever answers GET answers HEAD.
    pub(super) fn answered_by(self) -> Self {
        if self == Self::HEAD { Self::HEAD.and(Self::GET) } else { self }
    }

    /// The routes that go before all others of the same host and path: for HEAD those that name it.
    pub(super) fn favours(self) -> Self {
        if self == Self::HEAD { Self::HEAD } else { Self::NONE }
    }

    /// What `Allow` says of a route that names these: with GET comes HEAD.
    pub(super) fn offered(self) -> Self {
        if self.meets(Self::GET) { self.and(Self::HEAD) } else { self }
    }

    /// Those of [`KNOWN`] in the set.
    pub(super) fn known<'m>(self) -> impl Iterator<Item = &'m Method> {
        KNOWN.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, method)| method)
    }
}
