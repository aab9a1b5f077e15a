//! Pingora's heads as header blocks that policies can edit. It keeps the spelling of names beside the map, so both have
//! to be changed together, through its own methods.

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use policies::headers::Fields;

/// A request's head.
pub struct Request<'a>(pub &'a mut RequestHeader);

/// An answer's head.
pub struct Answer<'a>(pub &'a mut ResponseHeader);

macro_rules! fields {
    ($head:ident) => {
        // Pingora's methods fail on a name or value that is none; these are.
        impl Fields for $head<'_> {
            fn all(&self) -> &HeaderMap {
                &self.0.headers
            }

            fn set(&mut self, name: HeaderName, value: HeaderValue) {
                let _ = self.0.insert_header(name, value);
            }

            fn append(&mut self, name: HeaderName, value: HeaderValue) {
                let _ = self.0.append_header(name, value);
            }

            fn remove(&mut self, name: &HeaderName) {
                self.0.remove_header(name);
            }
        }
    };
}

fields!(Request);
fields!(Answer);
