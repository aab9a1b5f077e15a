//! The access log: a line of JSON for each request, written by a thread of its own. A reader that takes nothing, a full
//! disk, a closed pipe: the line is dropped and counted, and no request ever waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use policies::observe::Record;

use super::TelemetryError;

/// Records that wait for the writer: at 20,000 requests a second, a fifth of a second.
const WAITING_MAX: usize = 4096;
/// Written at once.
const BATCH_BYTES: usize = 64 * 1024;

/// LogTo requests are told.
pub struct AccessLog {
    records: Option<SyncSender<Told>>,
    dropped: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
}

#[allow(clippy::large_enum_variant, reason = "almost all of them are records")]
enum Told {
    Record(Record),
    /// Everything before this has been written when the flag is up.
    Flush(Arc<(Mutex<bool>, Condvar)>),
}

impl AccessLog {
    /// Opens it.
    pub fn start(to: &LogTo) -> Result<Self, TelemetryError> {
        let (dropped, reopen) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let out: Box<dyn Output> = match to {
            LogTo::Off => return Ok(Self { records: None, dropped, reopen }),
            LogTo::Stdout => Box::new(io::stdout()),
            LogTo::File(path) => {
                let told = |error| TelemetryError::AccessLog(path.display().to_string(), error);
                Box::new(Kept { path: path.clone(), file: open(path).map_err(told)? })
            }
        };
        let (records, told) = mpsc::sync_channel(WAITING_MAX);
        let writer = Writer { out, told, dropped: dropped.clone(), reopen: reopen.clone(), torn: false };
        let spawned =
            std::thread::Builder::new().name("banyan-access-log".into()).spawn(move || writer.run());
        spawned.map_err(|error| TelemetryError::AccessLog("a thread".into(), error))?;
        Ok(Self { records: Some(records), dropped, reopen })
    }

    /// Does anybody read it?
    pub fn is_wanted(&self) -> bool {
        self.records.is_some()
    }

    /// Tells of a request, if there is room.
    pub fn tell(&self, record: Record) {
        let Some(records) = &self.records else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            records.try_send(Told::Record(record))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file again before the next line.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// Waits until what was told has been written, but no longer than this.
    pub fn close(&self, limit: Duration) {
        let Some(records) = &self.records else { return };
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let until = Instant::now() + limit;
        // A full line empties while somebody takes from it.
        while records.try_send(Told::Flush(done.clone())).is_err() {
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let (flag, bell) = &*done;
        let guard = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = bell.wait_timeout_while(guard, limit, |done| !*done);
    }
}

/// Something lines go to.
trait Output: Write + Send {
    /// Begins anew, if it can.
    fn renew(&mut self) {}
}

impl Output for io::Stdout {}

/// A file that may be moved away under us.
struct Kept {
    path: std::path::PathBuf,
    file: File,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output for Kept {
    fn renew(&mut self) {
        match open(&self.path) {
            Ok(file) => self.file = file,
            Err(error) => log::error!(target: "banyan", "{}: {error}", self.path.display()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

struct Writer {
    out: Box<dyn Output>,
    told: Receiver<Told>,
    dropped: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
    /// The last write broke off: what comes next begins on a line of its own.
    torn: bool,
}

impl Writer {
    fn run(mut self) {
        let mut lines = String::with_capacity(BATCH_BYTES);
        while let Ok(first) = self.told.recv() {
            let (mut next, mut count, mut flushed) = (Some(first), 0, Vec::new());
            while let Some(told) = next {
                match told {
                    Told::Record(record) => {
                        record.write(&mut lines);
                        lines.push('\n');
                        count += 1;
                    }
                    Told::Flush(done) => flushed.push(done),
                }
                next = if lines.len() < BATCH_BYTES { self.told.try_recv().ok() } else { None };
            }
            self.write(&lines, count);
            lines.clear();
            for done in flushed {
                let (flag, bell) = &*done;
                *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
                bell.notify_all();
            }
        }
    }

    /// A write that fails loses its lines; the next one is tried again.
    fn write(&mut self, lines: &str, count: u64) {
        if self.reopen.swap(false, Ordering::Relaxed) {
            self.out.renew();
        }
        let begun = if self.torn { self.out.write_all(b"\n") } else { Ok(()) };
        let written =
            begun.and_then(|()| self.out.write_all(lines.as_bytes())).and_then(|()| self.out.flush());
        self.torn = written.is_err();
        if self.torn {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogTo {
    /// Into this file, opened again on SIGHUP.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
}

impl std::str::FromStr for LogTo {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "off" => Self::Off,
            "stdout" => Self::Stdout,
            file => Self::File(file.into()),
        })
    }
}
