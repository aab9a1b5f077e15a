//! Which methods pass.

use http::Method;

use super::refusal::Refusal;
use super::rules::{Permission, Rules};
use crate::verdict::Denial;

/// A closed set also bounds the length of a method, and the number of metric labels made from one.
pub(super) fn check(method: &Method, rules: &Rules) -> Result<(), Refusal> {
    match *method {
        Method::DELETE
        | Method::GET
        | Method::HEAD
        | Method::OPTIONS
        | Method::PATCH
        | Method::POST
        | Method::PUT => Ok(()),
        Method::CONNECT if rules.connect == Permission::Allow => Ok(()),
        Method::CONNECT => Err(refuse("CONNECT is not allowed here")),
        Method::TRACE => Err(refuse("TRACE would echo credentials to whoever can send it")),
        _ if rules.extra_methods.contains(method) => Ok(()),
        _ => Err(refuse("the method is not in the list of methods")),
    }
}

const fn refuse(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadMethod, because)
}
