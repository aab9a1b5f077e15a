//! What goes out in headers, and what is believed of what came in.
//!
//! Read [`Fields`] first: whatever can be edited here is one, whichever HTTP library holds it. The order of calls for a
//! request on its way out matters and is always this one: [`Carried::read`] and [`client_address`] look at what came,
//! [`hop::request`] strips what was meant for us (nominated fields too, so that nobody can have *our* fields
//! stripped), [`IdentityNames::strip`] and [`contract::strip`] remove what a client could have forged; then
//! [`forwarded::write`], [`Carried::write`], [`IdentityNames::set`] and the document's [`Edits`] put in what is ours.
//!
//! Nothing here knows routes or plans. Tests stand in `tests/`, a file for each file.

pub mod contract;
pub mod cookie;
pub mod edits;
pub mod forwarded;
pub mod grpc;
pub mod hop;
pub mod identity;
pub mod limits;
mod list;
mod names;
mod recall;
mod request_id;
pub mod trailers;
pub mod trust;
#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use contract::{Carried, Shadow};
pub use edits::{EditError, Edits};
pub use forwarded::{AskedFor, Dialect, Forwarding, Writes, client_address};
pub use identity::IdentityNames;
pub use limits::RATELIMIT;
pub use names::{GRPC_STATUS, X_REQUEST_ID};
pub use recall::{Known, Recall};
pub use request_id::RequestId;
pub use trust::{Trust, Trusted};

/// A header block that may be edited. Pingora keeps the spelling of names beside the map, so its type has to be
/// edited through its own methods; this is what they have in common with `HeaderMap`.
pub trait Fields {
    /// All fields.
    fn all(&self) -> &HeaderMap;
    /// Puts this value in the place of all values the field has.
    fn set(&mut self, name: HeaderName, value: HeaderValue);
    /// Puts this value after the values the field has.
    fn append(&mut self, name: HeaderName, value: HeaderValue);
    /// Takes the field out, all its values.
    fn remove(&mut self, name: &HeaderName);
}

/// A map that is full (32,768 fields, far above any limit of the guard) stays as it is rather than panic.
impl Fields for HeaderMap {
    fn all(&self) -> &HeaderMap {
        self
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.try_insert(name, value);
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.try_append(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        HeaderMap::remove(self, name);
    }
}

/// Takes out every field whose name `doomed` picks. Allocates only for the ninth. One look at each field that is there costs
/// less than a search for each name that is not.
pub(crate) fn remove_where(fields: &mut impl Fields, doomed: impl Fn(&HeaderName) -> bool) {
    let names: smallvec::SmallVec<[HeaderName; 8]> =
        fields.all().keys().filter(|name| doomed(name)).cloned().collect();
    for name in &names {
        fields.remove(name);
    }
}

/// The value of a field that is there exactly once, as text.
pub(crate) fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
