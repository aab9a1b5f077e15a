//! The small words of the language: names, hosts, paths, methods, who is counted.
//!
//! Each is a [`Unit`]: text with one grammar, one message when it is wrong, one pattern for editors. Where an engine
//! has the grammar, the word asks the engine, so that a document that loads also compiles.

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, Method};
use ipnet::IpNet;

use crate::access::{PeerRules, ScopeRule};
use crate::route;
use crate::units::{Unit, UnitError, readable};

readable!(By, Field, Host, MethodWord, Name, Network, Path, Peers, Regex, Scope);

pub(super) fn wrong<U: Unit>(text: &str) -> UnitError {
    let text: String = text.chars().take(60).collect();
    UnitError(format!("`{text}` is not {}", U::EXPECTED))
}

/// A name that other parts of the document use: it stands in logs and metrics, so it is short and plain.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(pub String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Unit for Name {
    const NAME: &'static str = "name";
    const EXPECTED: &'static str =
        "a name: 1 to 63 letters, digits, `-`, `_` or `.`, beginning with a letter or digit";
    const PATTERN: &'static str = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";
}

impl FromStr for Name {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let begins_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if begins_well && text.len() <= 63 && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(wrong::<Self>(text))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By what callers are told apart: for a limit, for the side of a migration, for the choice of an endpoint.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum By {
    /// The client's address.
    Address,
    /// A claim of the verified token.
    Claim(String),
    /// A cookie.
    Cookie(String),
    /// A header field.
    Header(HeaderName),
    /// The name of the API key.
    Key,
    /// The mesh identity of the calling workload.
    Peer,
    /// Nobody: everyone on the route together.
    Route,
    /// The token's subject; where there is no token the API key, the mesh identity, or the address.
    User,
}

impl Unit for By {
    const NAME: &'static str = "by";
    const EXPECTED: &'static str =
        "one of user, address, key, peer, route, header:NAME, cookie:NAME or claim:PATH";
    const PATTERN: &'static str = r"^(user|address|key|peer|route|header:.+|cookie:.+|claim:.+)$";
}

impl FromStr for By {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (kind, name) =
            text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name.trim())));
        match (kind, name.filter(|name| !name.is_empty())) {
            ("address", None) => Ok(Self::Address),
            ("key", None) => Ok(Self::Key),
            ("peer", None) => Ok(Self::Peer),
            ("route", None) => Ok(Self::Route),
            ("user", None) => Ok(Self::User),
            ("claim", Some(path)) => Ok(Self::Claim(path.into())),
            ("cookie", Some(name)) => Ok(Self::Cookie(name.into())),
            ("header", Some(name)) => name.parse().map(Self::Header).map_err(|_| wrong::<Self>(text)),
            _ => Err(wrong::<Self>(text)),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Claim(path) => write!(f, "claim:{path}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Key => f.write_str("key"),
            Self::Peer => f.write_str("peer"),
            Self::Route => f.write_str("route"),
            Self::User => f.write_str("user"),
        }
    }
}

/// Declares a word that is text with a grammar of its own: the check says what is wrong with it.
macro_rules! text_words {
    ($($(#[$doc:meta])* $word:ident($name:literal, $expected:literal, $pattern:literal) = $check:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $word(pub String);

        impl $word {
            /// The word as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Unit for $word {
            const NAME: &'static str = $name;
            const EXPECTED: &'static str = $expected;
            const PATTERN: &'static str = $pattern;
        }

        impl FromStr for $word {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                let check: fn(&str) -> Result<(), String> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(reason) if reason.is_empty() => Err(wrong::<Self>(text)),
                    Err(reason) => {
                        let text: String = text.chars().take(60).collect();
                        Err(UnitError(format!("`{text}` is not {}: {reason}", $expected)))
                    }
                }
            }
        }

        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

text_words! {
    /// The host of a route.
    Host("host", "a host such as shop.example or *.shop.example, without port", r"^(\*\.)?[A-Za-z0-9._:\[\]-]+$") =
        |text| route::Host::parse(text).map(drop).map_err(|error| error.to_string());
    /// The path of a route.
    Path("path", "a path such as /orders, /orders/** or /orders/{id}", r"^/.*$") =
        |text| route::Path::parse(text).map(drop).map_err(|error| error.to_string());
    /// Which workloads.
    Peers("peers", "a mesh identity such as ns/shop/sa/orders, ns/shop/* or spiffe://domain/ns/shop/sa/orders", r"^(spiffe://|ns/).+$") =
        |text| PeerRules::compile(&[text.into()], Some("trust.domain")).map(drop).map_err(|error| error.to_string());
    /// A regular expression, in linear time.
    Regex("regex", "a regular expression", r".") =
        |text| route::Expression::parse(text).map(drop).map_err(|error| error.to_string());
    /// Which scopes.
    Scope("scope", "scopes such as `orders:read | orders:write`", r".") =
        |text| ScopeRule::parse(text).map(drop).map_err(|error| error.to_string());
}

/// The name of a header field, in lower case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Field(pub HeaderName);

impl Ord for Field {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl PartialOrd for Field {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Unit for Field {
    const NAME: &'static str = "header-name";
    const EXPECTED: &'static str = "the name of a header field such as x-user-id";
    const PATTERN: &'static str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
}

impl FromStr for Field {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.parse().map(Self).map_err(|_| wrong::<Self>(text))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A request method, in capitals.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct MethodWord(pub Method);

impl Unit for MethodWord {
    const NAME: &'static str = "method";
    const EXPECTED: &'static str = "a method such as GET or POST, in capitals";
    const PATTERN: &'static str = r"^[A-Z][A-Z0-9-]{0,19}$";
}

impl FromStr for MethodWord {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let capitals = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
        let fits = text.len() <= 20
            && text.bytes().all(capitals)
            && text.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
        let method = fits.then(|| Method::from_bytes(text.as_bytes()).ok()).flatten();
        method.map(Self).ok_or_else(|| wrong::<Self>(text))
    }
}

impl fmt::Display for MethodWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A network, or a single address.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Network(pub IpNet);

impl Unit for Network {
    const NAME: &'static str = "network";
    const EXPECTED: &'static str = "a network such as 10.0.0.0/8 or fd00::/8, or an address";
    const PATTERN: &'static str = r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$";
}

impl FromStr for Network {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| wrong::<Self>(text))?;
        if network.addr() == network.network() {
            return Ok(Self(network));
        }
        Err(UnitError(format!(
            "`{text}` names an address inside a network: did you mean {}?",
            network.trunc()
        )))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
