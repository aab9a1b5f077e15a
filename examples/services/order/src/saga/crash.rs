//! For tests: dies at a chosen place, as a process does that is killed there. `CRASH_AT=charge:after`: after the payment
//! was asked for and before that is written down. Without it, it does nothing.

use chassis::Settings;

use crate::order::{Happened, Step};

pub(crate) struct Crash(Option<String>);

impl Crash {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self(settings.text("CRASH_AT").map(str::to_owned))
    }

    /// `before` a step's call, and `after` it.
    pub(crate) fn here(&self, step: Step, side: &str) {
        self.at(step.word(), side);
    }

    /// After this was written down: `paid:saved`.
    pub(crate) fn saved(&self, events: &[Happened]) {
        for name in super::names(events) {
            self.at(&name, "saved");
        }
    }

    fn at(&self, place: &str, side: &str) {
        if self.0.as_deref().and_then(|wanted| wanted.split_once(':')) == Some((place, side)) {
            tracing::error!(place, side, "told to crash here");
            std::process::abort();
        }
    }
}
