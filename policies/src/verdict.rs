//! Every way a request can end without an answer from the service: the one table.
//!
//! A [`Denial`] is policy saying no: a normal answer. A [`Fault`] is the world failing. Each has, in this file
//! and nowhere else, a status, a gRPC code, a stable slug, whose fault it is and whether it may be retried. Logs,
//! metrics, answers and `docs/denials.md` (generated from here, compared by a test) all use the slug.

use http::StatusCode;

/// Whose fault it is: what a person on call looks at first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// The caller sent something it should not have sent.
    Client,
    /// The document, or a system the operator runs beside us (keys, limit store), is wrong or missing.
    Operator,
    /// The service behind us.
    Upstream,
    /// Us: a bug, or too little room.
    Us,
}

/// May the caller send the same request again?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Again {
    /// Yes, after a pause: nothing was done. `Retry-After` says how long where it is known.
    Later,
    /// No: the same request will get the same answer.
    Never,
    /// Only if the request is idempotent: it may have been carried out.
    OnlyIfIdempotent,
}

/// The gRPC status codes we answer with, by their numbers on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum GrpcCode {
    /// The caller went away.
    Cancelled = 1,
    /// The request makes no sense.
    InvalidArgument = 3,
    /// Time ran out.
    DeadlineExceeded = 4,
    /// We know the caller and the answer is no.
    PermissionDenied = 7,
    /// Too much.
    ResourceExhausted = 8,
    /// Nobody serves this method.
    Unimplemented = 12,
    /// Our bug.
    Internal = 13,
    /// Try again later.
    Unavailable = 14,
    /// We do not know the caller.
    Unauthenticated = 16,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// The stable name: log, metric, answer and manual all use it.
    pub slug: &'static str,
    /// The HTTP status of the answer.
    pub status: StatusCode,
    /// The `grpc-status` of the answer to a gRPC caller.
    pub grpc: GrpcCode,
    /// Whose fault it is.
    pub blame: Blame,
    /// May it be sent again?
    pub again: Again,
    /// One sentence for the caller; never an inner message.
    pub says: &'static str,
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($arm:ident $slug:literal $status:ident $grpc:ident $blame:ident $again:ident $says:literal)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name { $(#[doc = $says] $arm,)+ }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$arm,)+];

            /// Its row of the table.
            pub const fn row(self) -> Row {
                match self {
                    $(Self::$arm => Row {
                        slug: $slug,
                        status: StatusCode::$status,
                        grpc: GrpcCode::$grpc,
                        blame: Blame::$blame,
                        again: Again::$again,
                        says: $says,
                    },)+
                }
            }

            /// The stable name.
            pub const fn slug(self) -> &'static str {
                self.row().slug
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.slug())
            }
        }
    };
}

table! {
    /// Policy said no. A normal answer, not an error.
    Denial {
        // Malformed: refused before any policy looks at it.
        BadBody "bad-body" BAD_REQUEST InvalidArgument Client Never "The request body is not framed as its header says."
        BadFraming "bad-framing" BAD_REQUEST InvalidArgument Client Never "Content-Length and Transfer-Encoding leave the end of the request open to two readings."
        BadHeader "bad-header" BAD_REQUEST InvalidArgument Client Never "A header name or value holds bytes that do not belong there."
        BadHost "bad-host" BAD_REQUEST InvalidArgument Client Never "The request needs exactly one valid Host that agrees with its target."
        BadMethod "bad-method" BAD_REQUEST InvalidArgument Client Never "The method is not one this proxy forwards."
        BadPath "bad-path" BAD_REQUEST InvalidArgument Client Never "Two servers could read this path in two ways."
        BadTarget "bad-target" BAD_REQUEST InvalidArgument Client Never "The request target is malformed."
        BadVersion "bad-version" HTTP_VERSION_NOT_SUPPORTED Unimplemented Client Never "This HTTP version is not spoken here."
        HeadersTooLarge "headers-too-large" REQUEST_HEADER_FIELDS_TOO_LARGE InvalidArgument Client Never "The request header is larger than this proxy takes."
        TargetTooLong "target-too-long" URI_TOO_LONG InvalidArgument Client Never "The request target is longer than this proxy takes."
        // No such place.
        MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED Unimplemented Client Never "This path exists, but not for this method."
        NoRoute "no-route" NOT_FOUND Unimplemented Client Never "No route matches this request."
        Misdirected "misdirected" MISDIRECTED_REQUEST InvalidArgument Client OnlyIfIdempotent "This connection was opened for another host, and this one demands a certificate of its own."
        UpgradeRefused "upgrade-refused" BAD_REQUEST Unimplemented Client Never "This upgrade is not offered here."
        // Who are you?
        ApiKeyMissing "api-key-missing" UNAUTHORIZED Unauthenticated Client Never "This route needs an API key and the request has none."
        ApiKeyUnknown "api-key-unknown" UNAUTHORIZED Unauthenticated Client Never "The API key is not known."
        PeerUnknown "peer-unknown" UNAUTHORIZED Unauthenticated Client Never "This service only speaks to callers with a mesh identity."
        TokenAlgorithm "token-algorithm" UNAUTHORIZED Unauthenticated Client Never "The token is signed with an algorithm its key does not allow."
        TokenAudience "token-audience" UNAUTHORIZED Unauthenticated Client Never "The token was not made for this audience."
        TokenCritical "token-critical" UNAUTHORIZED Unauthenticated Client Never "The token demands an extension this proxy does not know."
        TokenEndless "token-endless" UNAUTHORIZED Unauthenticated Client Never "The token does not say when it ends."
        TokenExpired "token-expired" UNAUTHORIZED Unauthenticated Client Never "The token has expired."
        TokenIssuer "token-issuer" UNAUTHORIZED Unauthenticated Client Never "The token comes from an issuer this route does not accept."
        TokenKeyUnknown "token-key-unknown" UNAUTHORIZED Unauthenticated Client Never "The token is signed with a key the issuer does not publish."
        TokenKind "token-kind" UNAUTHORIZED Unauthenticated Client Never "The token is of another kind than this route takes."
        TokenMalformed "token-malformed" UNAUTHORIZED Unauthenticated Client Never "The token is not a well-formed signed JWT."
        TokenMissing "token-missing" UNAUTHORIZED Unauthenticated Client Never "This route needs a token and the request has none."
        TokenNotYetValid "token-not-yet-valid" UNAUTHORIZED Unauthenticated Client Later "The token is not valid yet."
        TokenOwnKey "token-own-key" UNAUTHORIZED Unauthenticated Client Never "The token brings the key that should vouch for it, or says where to get it."
        TokenSignature "token-signature" UNAUTHORIZED Unauthenticated Client Never "The token's signature does not match."
        // May you?
        AddressDenied "address-denied" FORBIDDEN PermissionDenied Client Never "This address may not call this route."
        ClaimMismatch "claim-mismatch" FORBIDDEN PermissionDenied Client Never "The token lacks a claim this route needs."
        CorsDenied "cors-denied" FORBIDDEN PermissionDenied Client Never "This origin may not call this route."
        DestinationDenied "destination-denied" FORBIDDEN PermissionDenied Operator Never "This service has not declared that it calls that destination."
        PeerDenied "peer-denied" FORBIDDEN PermissionDenied Client Never "This workload may not call this service."
        ScopeMissing "scope-missing" FORBIDDEN PermissionDenied Client Never "The token lacks a scope this route needs."
        // Too much, or too late.
        BodyTooLarge "body-too-large" PAYLOAD_TOO_LARGE ResourceExhausted Client Never "The request body is larger than this route takes."
        BreakerOpen "breaker-open" SERVICE_UNAVAILABLE Unavailable Upstream Later "The service behind this route is failing and gets a pause."
        BulkheadFull "bulkhead-full" SERVICE_UNAVAILABLE ResourceExhausted Upstream Later "The service behind this route has as many requests as it can take, and the queue is full."
        BulkheadTimeout "bulkhead-timeout" SERVICE_UNAVAILABLE ResourceExhausted Upstream Later "The request waited its turn for the service behind this route, and the wait ran out."
        ConnectionLimit "connection-limit" SERVICE_UNAVAILABLE ResourceExhausted Us Later "This proxy has as many connections as it takes."
        DeadlineTooShort "deadline-too-short" GATEWAY_TIMEOUT DeadlineExceeded Client Later "The time left for this request is shorter than any answer could take."
        Draining "draining" SERVICE_UNAVAILABLE Unavailable Us Later "This proxy is shutting down; another one will answer."
        InjectedAbort "injected-abort" SERVICE_UNAVAILABLE Unavailable Operator Later "This failure was injected by the policy, for a test."
        Maintenance "maintenance" SERVICE_UNAVAILABLE Unavailable Operator Later "This part of the service is closed for maintenance."
        Overloaded "overloaded" SERVICE_UNAVAILABLE ResourceExhausted Us Later "There is more work than can be done, and more important work goes first."
        RateLimited "rate-limited" TOO_MANY_REQUESTS ResourceExhausted Client Later "Too many requests."
    }
}

table! {
    /// The world failed.
    Fault {
        AnswerMalformed "answer-malformed" BAD_GATEWAY Unavailable Upstream OnlyIfIdempotent "The service answered something that is not a valid HTTP answer."
        AnswerTooLarge "answer-too-large" BAD_GATEWAY Unavailable Upstream Never "The service's answer header is larger than this proxy takes."
        AnswerTruncated "answer-truncated" BAD_GATEWAY Unavailable Upstream OnlyIfIdempotent "The service's answer broke off in the middle."
        ClientGone "client-gone" REQUEST_TIMEOUT Cancelled Client OnlyIfIdempotent "The caller went away before the answer was complete."
        ClientTooSlow "client-too-slow" REQUEST_TIMEOUT DeadlineExceeded Client OnlyIfIdempotent "The request arrived more slowly than this proxy waits."
        ConnectFailed "connect-failed" BAD_GATEWAY Unavailable Upstream Later "The service cannot be reached."
        ConnectTimeout "connect-timeout" GATEWAY_TIMEOUT Unavailable Upstream Later "The service could not be reached in time."
        DeadlineExceeded "deadline-exceeded" GATEWAY_TIMEOUT DeadlineExceeded Upstream OnlyIfIdempotent "The time for this request ran out."
        Internal "internal" INTERNAL_SERVER_ERROR Internal Us OnlyIfIdempotent "This proxy failed; the request id leads to the log line."
        KeysUnavailable "keys-unavailable" SERVICE_UNAVAILABLE Unavailable Operator Later "The keys to check the token with cannot be had, so the token can be neither believed nor refused."
        LimitStoreDown "limit-store-down" SERVICE_UNAVAILABLE Unavailable Operator Later "The shared limit cannot be counted, and this route is closed while it cannot."
        NoEndpoint "no-endpoint" SERVICE_UNAVAILABLE Unavailable Upstream Later "The service has no healthy endpoint."
        TlsFailed "tls-failed" BAD_GATEWAY Unavailable Upstream Later "The service's certificate or TLS handshake is not acceptable."
        UpstreamReset "upstream-reset" BAD_GATEWAY Unavailable Upstream OnlyIfIdempotent "The service closed the connection without a complete answer."
        UpstreamTimeout "upstream-timeout" GATEWAY_TIMEOUT DeadlineExceeded Upstream OnlyIfIdempotent "The service did not answer in time."
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows() -> Vec<Row> {
        Denial::ALL.iter().map(|d| d.row()).chain(Fault::ALL.iter().map(|f| f.row())).collect()
    }

    #[test]
    fn slugs_are_unique_and_kebab_case() {
        let slugs: BTreeSet<_> = rows().iter().map(|row| row.slug).collect();
        assert_eq!(slugs.len(), rows().len());
        for slug in slugs {
            assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{slug}");
        }
    }

    #[test]
    fn blame_and_status_agree() {
        for row in rows() {
            let client_error = row.status.is_client_error();
            match row.blame {
                // A deadline the caller set is the caller's, but the status for time running out is 504.
                Blame::Client => assert!(client_error || row.status.is_server_error(), "{}", row.slug),
                Blame::Operator => {}
                Blame::Upstream | Blame::Us => assert!(!client_error, "{}", row.slug),
            }
        }
    }

    #[test]
    fn a_bad_token_is_never_confused_with_keys_we_cannot_have() {
        for denial in Denial::ALL.iter().filter(|d| d.slug().starts_with("token-")) {
            assert_eq!(denial.row().status, StatusCode::UNAUTHORIZED, "{denial}");
        }
        assert_eq!(Fault::KeysUnavailable.row().status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
