//! The process's own log, on standard error: a line of JSON for each event, written off the path like the access log. What
//! clients get wrong cannot flood it: Pingora's own remarks are kept only if they are ours to act on.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use policies::observe::timestamp;

/// Lines that wait for the writer.
const WAITING_MAX: usize = 1024;
/// How long the last lines may take when the process ends.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

static LOG: OnceLock<ProcessLog> = OnceLock::new();

struct ProcessLog {
    lines: SyncSender<Told>,
    dropped: AtomicU64,
}

enum Told {
    /// To be answered when everything before it has been written.
    Flush(SyncSender<()>),
    Line(Vec<u8>),
}

/// Begins to write the log. A second call changes nothing.
pub fn install() {
    let (lines, told) = mpsc::sync_channel(WAITING_MAX);
    let writer = std::thread::Builder::new().name("banyan-log".into()).spawn(move || {
        while let Ok(told) = told.recv() {
            // Nobody to tell if nobody listens.
            let _ = match told {
                Told::Flush(done) => done.try_send(()).map_err(std::io::Error::other),
                Told::Line(line) => std::io::stderr().write_all(&line),
            };
        }
    });
    if writer.is_err() {
        return;
    }
    let log = LOG.get_or_init(|| ProcessLog { lines, dropped: AtomicU64::new(0) });
    if log::set_logger(log).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Lines that were dropped because nobody took them.
pub fn dropped() -> u64 {
    LOG.get().map_or(0, |log| log.dropped.load(Ordering::Relaxed))
}

impl Log for ProcessLog {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        match about.target() {
            "banyan" => about.level() <= Level::Info,
            // Everything of these that matters to a request is told of the request, by name.
            other if other.starts_with("pingora") || other.starts_with("fred") => false,
            _ => about.level() <= Level::Warn,
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = b"{\"time\":\"".to_vec();
        timestamp(&mut line, crate::clock::unix());
        let words = serde_json::Value::from(record.args().to_string());
        let level = record.level().as_str().to_ascii_lowercase();
        let target = record.target();
        line.extend(
            format!("\",\"level\":\"{level}\",\"target\":\"{target}\",\"message\":{words}}}\n").bytes(),
        );
        if self.lines.try_send(Told::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for the last lines. A process that ends calls it through [`log::logger`]: they say why it ends.
    fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        if self.lines.try_send(Told::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_WITHIN);
        }
    }
}
