//! What the process log says, kept for stories to look through. All stories share it: they look for the names of their own
//! targets.

use std::sync::{Mutex, Once};
use std::time::Instant;

use log::{LevelFilter, Log, Metadata, Record};

static LINES: Mutex<Vec<(Instant, String)>> = Mutex::new(Vec::new());

struct Ear;

impl Log for Ear {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.target() == "banyan"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().unwrap().push((Instant::now(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Begins to listen. What is said before that is not heard.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Ear).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

/// The lines with these words, and when they were said.
pub fn heard(words: &str) -> Vec<(Instant, String)> {
    LINES.lock().unwrap().iter().filter(|(_, line)| line.contains(words)).cloned().collect()
}
