//! SPIFFE identities: who a workload is, as a certificate says it.
//!
//! A [`SpiffeId`] is one whole string that has passed the strict grammar of the SPIFFE ID standard (section 2), and
//! is compared as that string: no case folding, no percent-decoding, no normalising, so two spellings are never one
//! caller. In our mesh the path reads `/ns/<namespace>/sa/<service-account>`; other paths are valid identities, they
//! just have no namespace. Whether the certificate is genuine is the TLS layer's question, not this file's.

use std::fmt;
use std::sync::Arc;

const SCHEME: &str = "spiffe://";

/// SPIFFE-ID section 2.3: "SPIFFE implementations MUST support SPIFFE URIs up to 2048 bytes in length and MUST NOT
/// generate URIs of length greater than 2048 bytes."
const ID_BYTES_MAX: usize = 2048;

/// SPIFFE-ID section 2.3: the trust domain name's maximum length is 255 bytes.
const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// A workload identity, well-formed. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpiffeId(Arc<str>);

/// Why a string is not a SPIFFE ID.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpiffeError {
    /// A byte in the path is not a letter, digit, dot, dash or underscore; `?`, `#`, `%` and NUL are such bytes.
    #[error("a SPIFFE path segment holds only letters, digits, dots, dashes and underscores")]
    PathCharacter,
    /// A path segment is empty (a trailing slash makes one), `.` or `..`.
    #[error("a SPIFFE path has no empty, `.` or `..` segment and no trailing slash")]
    PathSegment,
    /// It does not begin with `spiffe://`.
    #[error("a SPIFFE ID begins with spiffe://")]
    Scheme,
    /// It is longer than 2048 bytes, or its trust domain is longer than 255.
    #[error("a SPIFFE ID is at most 2048 bytes long, its trust domain at most 255")]
    TooLong,
    /// The trust domain is empty or holds an upper-case letter, a port, user information or another odd byte.
    #[error("a SPIFFE trust domain is a name of lower-case letters, digits, dots, dashes and underscores")]
    TrustDomain,
}

impl SpiffeId {
    /// Reads an identity, for instance the bytes of a URI SAN. Refuses everything outside the standard's grammar:
    /// another scheme, an odd trust domain, a port, user information, a query, a fragment, percent-encoding, empty
    /// and dot segments, and every byte that two readers could take for two things.
    pub fn parse(uri: impl AsRef<[u8]>) -> Result<Self, SpiffeError> {
        let uri = uri.as_ref();
        if uri.len() > ID_BYTES_MAX {
            return Err(SpiffeError::TooLong);
        }
        let rest = uri.strip_prefix(SCHEME.as_bytes()).ok_or(SpiffeError::Scheme)?;
        let mut parts = rest.split(|byte| *byte == b'/');
        check_trust_domain(parts.next().unwrap_or_default())?;
        parts.try_for_each(check_segment)?;
        // All bytes were checked to be ASCII, so this cannot fail; the arm is there because it is cheaper than a doubt.
        let text = std::str::from_utf8(uri).map_err(|_| SpiffeError::PathCharacter)?;
        Ok(Self(Arc::from(text)))
    }

    /// The whole identity, the way it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the authority that vouches for this workload.
    pub fn trust_domain(&self) -> &str {
        self.halves().0
    }

    /// The path with its leading slash; empty for the identity of a whole trust domain.
    pub fn path(&self) -> &str {
        self.halves().1
    }

    /// The namespace, if the path is exactly `/ns/<namespace>/sa/<service-account>`.
    pub fn namespace(&self) -> Option<&str> {
        self.place().map(|(namespace, _)| namespace)
    }

    /// The service account, if the path is exactly `/ns/<namespace>/sa/<service-account>`.
    pub fn service_account(&self) -> Option<&str> {
        self.place().map(|(_, account)| account)
    }

    fn halves(&self) -> (&str, &str) {
        let rest = self.0.get(SCHEME.len()..).unwrap_or_default();
        rest.split_at(rest.find('/').unwrap_or(rest.len()))
    }

    fn place(&self) -> Option<(&str, &str)> {
        let (namespace, account) = self.path().strip_prefix("/ns/")?.split_once("/sa/")?;
        (!namespace.contains('/') && !account.contains('/')).then_some((namespace, account))
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_trust_domain(name: &[u8]) -> Result<(), SpiffeError> {
    if name.len() > TRUST_DOMAIN_BYTES_MAX {
        return Err(SpiffeError::TooLong);
    }
    let lower = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if name.is_empty() || !name.iter().all(lower) {
        return Err(SpiffeError::TrustDomain);
    }
    Ok(())
}

fn check_segment(segment: &[u8]) -> Result<(), SpiffeError> {
    if matches!(segment, b"" | b"." | b"..") {
        return Err(SpiffeError::PathSegment);
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if segment.iter().all(plain) { Ok(()) } else { Err(SpiffeError::PathCharacter) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(uri: &str, expected: Result<(&str, &str), SpiffeError>) {
        let parsed = SpiffeId::parse(uri);
        let parts = parsed.as_ref().map(|id| (id.trust_domain(), id.path())).map_err(|error| *error);
        assert_eq!(parts, expected, "{uri}");
        if let Ok(id) = parsed {
            assert_eq!(id.to_string(), uri);
        }
    }

    #[test]
    fn the_grammar_is_the_standards() {
        check("spiffe://shop.example/ns/shop/sa/orders", Ok(("shop.example", "/ns/shop/sa/orders")));
        check("spiffe://shop_1-a.example/A.b_c-9/...", Ok(("shop_1-a.example", "/A.b_c-9/...")));
        check("spiffe://shop.example", Ok(("shop.example", "")));
        check("spiffe://1.2.3.4/x", Ok(("1.2.3.4", "/x")));

        check("", Err(SpiffeError::Scheme));
        check("https://shop.example/x", Err(SpiffeError::Scheme));
        check("SPIFFE://shop.example/x", Err(SpiffeError::Scheme));
        check("spiffe:/shop.example/x", Err(SpiffeError::Scheme));
        check(" spiffe://shop.example/x", Err(SpiffeError::Scheme));

        check("spiffe://", Err(SpiffeError::TrustDomain));
        check("spiffe:///ns/shop", Err(SpiffeError::TrustDomain));
        check("spiffe://Shop.example/x", Err(SpiffeError::TrustDomain));
        check("spiffe://shop.example:443/x", Err(SpiffeError::TrustDomain));
        check("spiffe://root@shop.example/x", Err(SpiffeError::TrustDomain));
        check("spiffe://shop.example?x", Err(SpiffeError::TrustDomain));
        check("spiffe://shop.example#x", Err(SpiffeError::TrustDomain));
        check("spiffe://shöp.example/x", Err(SpiffeError::TrustDomain));
        check("spiffe://[::1]/x", Err(SpiffeError::TrustDomain));

        check("spiffe://shop.example/", Err(SpiffeError::PathSegment));
        check("spiffe://shop.example/ns/", Err(SpiffeError::PathSegment));
        check("spiffe://shop.example//ns", Err(SpiffeError::PathSegment));
        check("spiffe://shop.example/./ns", Err(SpiffeError::PathSegment));
        check("spiffe://shop.example/ns/../x", Err(SpiffeError::PathSegment));
        check("spiffe://shop.example/ns?x=1", Err(SpiffeError::PathCharacter));
        check("spiffe://shop.example/ns#x", Err(SpiffeError::PathCharacter));
        check("spiffe://shop.example/n%73", Err(SpiffeError::PathCharacter));
        check("spiffe://shop.example/ns/sh\u{f6}p", Err(SpiffeError::PathCharacter));
    }

    #[test]
    fn a_nul_in_a_certificate_name_is_refused() {
        check("spiffe://shop.example/ns/shop/sa/orders\0.evil.example", Err(SpiffeError::PathCharacter));
        check("spiffe://shop.example\0.evil.example/x", Err(SpiffeError::TrustDomain));
        assert_eq!(SpiffeId::parse(b"spiffe://shop.example/\xff"), Err(SpiffeError::PathCharacter));
    }

    #[test]
    fn lengths_are_bounded_exactly() {
        let with_path = |bytes: usize| format!("spiffe://td/{}", "a".repeat(bytes - "spiffe://td/".len()));
        assert!(SpiffeId::parse(with_path(2048)).is_ok());
        assert_eq!(SpiffeId::parse(with_path(2049)), Err(SpiffeError::TooLong));
        assert!(SpiffeId::parse(format!("spiffe://{}/x", "a".repeat(255))).is_ok());
        assert_eq!(SpiffeId::parse(format!("spiffe://{}/x", "a".repeat(256))), Err(SpiffeError::TooLong));
    }

    #[test]
    fn only_the_mesh_form_has_a_namespace_and_an_account() {
        let place = |uri: &str| {
            let id = SpiffeId::parse(uri).unwrap();
            id.namespace().map(String::from).zip(id.service_account().map(String::from))
        };
        let shop_orders = Some(("shop".to_owned(), "orders".to_owned()));
        assert_eq!(place("spiffe://td/ns/shop/sa/orders"), shop_orders);
        assert_eq!(place("spiffe://td/ns/shop"), None);
        assert_eq!(place("spiffe://td/ns/shop/sa/orders/x"), None);
        assert_eq!(place("spiffe://td/x/ns/shop/sa/orders"), None);
        assert_eq!(place("spiffe://td/ns/a/b/sa/orders"), None);
        assert_eq!(place("spiffe://td/ns/shop/SA/orders"), None);
    }

    #[test]
    fn identities_are_compared_as_whole_strings() {
        let id = |uri: &str| SpiffeId::parse(uri).unwrap();
        assert_eq!(id("spiffe://td/ns/shop/sa/orders"), id("spiffe://td/ns/shop/sa/orders"));
        assert_ne!(id("spiffe://td/ns/shop/sa/orders"), id("spiffe://td/ns/shop/sa/Orders"));
        assert_ne!(id("spiffe://td/ns/shop/sa/orders"), id("spiffe://td/ns/shop/sa/orders2"));
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_back_the_same(uri in "spiffe://[a-z./%:@A-Z?#_-]{0,12}(/[a-zA-Z0-9._%-]{0,4}){0,4}") {
            if let Ok(id) = SpiffeId::parse(&uri) {
                prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), uri);
                prop_assert!(!id.path().split('/').skip(1).any(|s| matches!(s, "" | "." | "..")));
            }
        }
    }
}
