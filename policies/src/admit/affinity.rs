//! What keeps a caller on one endpoint, for a target that balances by hash.

use http::HeaderMap;

use super::Caller;
use super::caller::Counted;
use crate::access::ClaimPath;
use crate::balance::key_hash;
use crate::document::words::By;
use crate::headers::cookie;

/// The hash of what this target tells callers apart by; nothing if the request does not have it.
pub fn affinity(by: &By, caller: &Caller, headers: &HeaderMap) -> Option<u64> {
    let hash = |text: &[u8]| Some(key_hash(text));
    match by {
        By::Address => hash(caller.address.to_string().as_bytes()),
        By::Claim(path) => {
            let claim = caller.claims.as_ref()?.find(&ClaimPath::parse(path).ok()?)?;
            hash(claim.as_str()?.as_bytes())
        }
        By::Cookie(name) => hash(cookie::find(headers, name)?.as_bytes()),
        By::Header(name) => hash(headers.get(name)?.as_bytes()),
        By::Key => hash(caller.key.as_ref()?.name.as_bytes()),
        By::Peer => hash(caller.peer.as_ref()?.as_str().as_bytes()),
        By::Route => None,
        By::User => match caller.user() {
            Some(Counted::Subject(name) | Counted::Key(name) | Counted::Peer(name)) => hash(name.as_bytes()),
            _ => hash(caller.address.to_string().as_bytes()),
        },
    }
}
