//! What was told about a request on its way in, found again on the calls the app makes for it. An app that forwards nothing
//! but `traceparent` keeps its caller's deadline, priority and attempt all the same.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU128;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;

use super::names::{X_BANYAN_ATTEMPT, X_BANYAN_DEADLINE, X_BANYAN_PRIORITY, X_REQUEST_ID};
use super::{Carried, RequestId};
use crate::request::Priority;
use crate::time::Tick;

/// So many requests at once; the oldest is forgotten first.
const KNOWN_MAX: usize = 16_384;

/// What is remembered of one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// Which try it is.
    pub attempt: Option<u32>,
    /// When it ends; it is forgotten then.
    pub deadline: Tick,
    /// How important it is.
    pub priority: Priority,
    /// Its name in every log.
    pub request_id: RequestId,
    /// How often a call made for it was tried, if one has failed for good: it is not for the caller to try again.
    pub tried: Option<u32>,
}

/// The requests that the app works on, by trace. Bounded and short-lived.
#[derive(Debug, Default)]
pub struct Recall(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    known: HashMap<NonZeroU128, Known>,
    /// In the order of coming; one that came twice stands here twice.
    order: VecDeque<(NonZeroU128, Tick)>,
}

impl Recall {
    /// A request goes to the app.
    pub fn keep(&self, trace: NonZeroU128, mut known: Known, now: Tick) {
        known.request_id = known.request_id.detached();
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((trace, deadline)) = book.order.front().copied() {
            if book.order.len() < KNOWN_MAX && deadline > now {
                break;
            }
            book.order.pop_front();
            // Another request of the same trace may have come since.
            if book.known.get(&trace).is_some_and(|known| known.deadline == deadline) {
                book.known.remove(&trace);
            }
        }
        book.order.push_back((trace, known.deadline));
        book.known.insert(trace, known);
    }

    /// What is known of this trace, if its time is not over.
    pub fn find(&self, trace: NonZeroU128, now: Tick) -> Option<Known> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.known.get(&trace).filter(|known| known.deadline > now).cloned()
    }

    /// A call that the app made for this trace was tried so often, and has failed.
    pub fn tried(&self, trace: NonZeroU128, attempts: u32) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = book.known.get_mut(&trace) {
            known.tried = Some(attempts);
        }
    }
}

impl Carried {
    /// Puts in what the app did not carry on itself. What it says counts more: it may shorten a deadline.
    pub fn recalled(&mut self, headers: &HeaderMap, known: &Known, now: Tick) {
        if !headers.contains_key(&X_BANYAN_ATTEMPT) {
            self.attempt = known.attempt;
        }
        if !headers.contains_key(&X_BANYAN_DEADLINE) {
            let left = known.deadline.since(now);
            self.deadline_left = Some(self.deadline_left.map_or(left, |told| told.min(left)));
        }
        if !headers.contains_key(&X_BANYAN_PRIORITY) {
            self.priority = Some(known.priority);
        }
        if !headers.contains_key(&X_REQUEST_ID) {
            self.request_id = known.request_id.clone();
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::headers::Trusted;

    fn at(secs: u64) -> Tick {
        Tick::ZERO.after(Duration::from_secs(secs))
    }

    fn trace(number: u128) -> NonZeroU128 {
        NonZeroU128::new(number).unwrap()
    }

    fn known(deadline: u64) -> Known {
        let request_id = RequestId::made_from(7);
        Known {
            attempt: Some(2),
            deadline: at(deadline),
            priority: Priority::Critical,
            request_id,
            tried: None,
        }
    }

    #[test]
    fn a_call_without_headers_of_ours_keeps_what_its_request_came_with() {
        let recall = Recall::default();
        recall.keep(trace(1), known(3), at(0));
        let found = recall.find(trace(1), at(1)).unwrap();
        let headers = HeaderMap::new();
        let mut carried = Carried::read(&headers, Trusted::Yes, 9);
        carried.recalled(&headers, &found, at(1));
        assert_eq!(carried.attempt, Some(2));
        assert_eq!(carried.deadline_left, Some(Duration::from_secs(2)));
        assert_eq!(carried.priority, Some(Priority::Critical));
        assert_eq!(carried.request_id, RequestId::made_from(7));
    }

    #[test]
    fn what_the_app_says_itself_counts_more() {
        let mut headers = HeaderMap::new();
        headers.insert(X_BANYAN_DEADLINE, 100.into());
        headers.insert(X_BANYAN_PRIORITY, http::HeaderValue::from_static("sheddable"));
        let mut carried = Carried::read(&headers, Trusted::Yes, 9);
        carried.recalled(&headers, &known(3), at(1));
        assert_eq!(carried.deadline_left, Some(Duration::from_millis(100)));
        assert_eq!(carried.priority, Some(Priority::Sheddable));
        assert_eq!(carried.attempt, Some(2));
    }

    #[test]
    fn that_a_call_was_tried_is_known_until_the_request_comes_again() {
        let recall = Recall::default();
        recall.tried(trace(1), 3);
        recall.keep(trace(1), known(3), at(0));
        assert_eq!(recall.find(trace(1), at(1)).unwrap().tried, None);
        recall.tried(trace(1), 3);
        assert_eq!(recall.find(trace(1), at(1)).unwrap().tried, Some(3));
        recall.keep(trace(1), known(3), at(1));
        assert_eq!(recall.find(trace(1), at(1)).unwrap().tried, None);
    }

    #[test]
    fn what_is_remembered_holds_no_buffer_it_came_in() {
        let recall = Recall::default();
        let came = known(3);
        recall.keep(trace(1), came.clone(), at(0));
        let kept = recall.find(trace(1), at(1)).unwrap();
        assert_eq!(kept, came);
        assert_ne!(kept.request_id.value().as_bytes().as_ptr(), came.request_id.value().as_bytes().as_ptr());
    }

    #[test]
    fn it_is_forgotten_with_its_deadline_and_never_more_than_the_cap_are_known() {
        let recall = Recall::default();
        recall.keep(trace(1), known(3), at(0));
        assert!(recall.find(trace(1), at(3)).is_none());
        for number in 0..2 * KNOWN_MAX as u128 {
            recall.keep(trace(number + 10), known(100), at(4));
        }
        let book = recall.0.lock().unwrap();
        assert!(book.known.len() <= KNOWN_MAX && book.order.len() <= KNOWN_MAX);
        assert!(!book.known.contains_key(&trace(1)));
    }

    #[test]
    fn a_second_request_of_a_trace_is_not_forgotten_with_the_first() {
        let recall = Recall::default();
        recall.keep(trace(1), known(3), at(0));
        recall.keep(trace(1), known(9), at(1));
        recall.keep(trace(2), known(9), at(5));
        assert_eq!(recall.find(trace(1), at(5)).unwrap().deadline, at(9));
    }
}
