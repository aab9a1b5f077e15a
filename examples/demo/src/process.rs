//! One process: started on a leash, watched, ended.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::leash;
use crate::log::Log;
use crate::usage::Usage;

const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After this a process that was asked to end is killed.
const END_WITHIN: Duration = Duration::from_secs(12);

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name here, and of its log.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it is told.
    pub arguments: Vec<String>,
    /// Its environment, besides ours.
    pub environment: BTreeMap<String, String>,
    /// Where it answers 200 as soon as it can do its work; without one it is ready at once.
    pub ready: Option<String>,
    /// When it is started: a later tier when those of the earlier ones are ready. Ended in the opposite order.
    pub tier: u8,
}

/// A process that has ended though nobody asked it to.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Whose.
    pub name: String,
    /// How it ended.
    pub status: String,
    /// The last lines of its log.
    pub lines: Vec<String>,
    /// All of its log.
    pub log: PathBuf,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} has crashed: {}", self.name, self.status)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  | {line}"))?;
        write!(f, "  all of it is in {}", self.log.display())
    }
}

/// Why a process is not there.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum StartError {
    #[error("{0}")]
    Crashed(Box<Crash>),
    #[error("{name} was not ready in {} s; its log is {}", within.as_secs(), log.display())]
    Late { name: String, within: Duration, log: PathBuf },
    #[error("{0} cannot be started: {1}")]
    Never(String, io::Error),
    #[error("there is no process called {0}")]
    Nobody(String),
}

/// A process that runs, or has run.
#[derive(Debug)]
pub struct Process {
    /// What it was started from.
    pub program: Program,
    pid: Pid,
    log: Log,
    ended: watch::Receiver<Option<ExitStatus>>,
    /// Told before it is asked to end, so that its end is no crash.
    asked: watch::Sender<bool>,
}

impl Process {
    /// Starts it, in this folder. `own` is the demo's program. The thread that calls must live as long as the process
    /// may: for the kernel, it is the parent.
    pub fn start(
        own: &Path,
        folder: &Path,
        program: Program,
        crashes: mpsc::UnboundedSender<Crash>,
    ) -> Result<Self, StartError> {
        let never = |error| StartError::Never(program.name.clone(), error);
        let log = Log::open(&folder.join("logs").join(format!("{}.log", program.name))).map_err(never)?;
        let mut command = Command::from(leash::command(own, &program.path));
        command.args(&program.arguments).envs(&program.environment).current_dir(folder);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(never)?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| never(io::Error::other("it has no id")))?;
        let pumps = [
            child.stdout.take().map(|from| tokio::spawn(log.clone().drink(from))),
            child.stderr.take().map(|from| tokio::spawn(log.clone().drink(from))),
        ];
        let (end, ended) = watch::channel(None);
        let (asked, was_asked) = watch::channel(false);
        let (name, kept) = (program.name.clone(), log.clone());
        tokio::spawn(async move {
            let Ok(status) = child.wait().await else { return };
            // What it has left behind in its group ends with it, and then nobody holds its log open.
            let _ = kill_process_group(pid, Signal::KILL);
            for pump in pumps.into_iter().flatten() {
                let _ = pump.await;
            }
            if !*was_asked.borrow() {
                let (status, lines) = (told(status), kept.last());
                let _ = crashes.send(Crash { name, status, lines, log: kept.path().to_owned() });
            }
            let _ = end.send(Some(status));
        });
        Ok(Self { program, pid, log, ended, asked })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What it has used so far, if it runs.
    pub fn usage(&self) -> Option<Usage> {
        Usage::of(self.id())
    }

    /// Does it run?
    pub fn runs(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Waits until it can do its work.
    pub async fn ready(&self, client: &reqwest::Client) -> Result<(), StartError> {
        let Some(url) = &self.program.ready else { return Ok(()) };
        let looked = timeout(READY_WITHIN, async {
            loop {
                if let Some(status) = *self.ended.borrow() {
                    return Err(StartError::Crashed(Box::new(self.crash(status))));
                }
                if client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
                sleep(LOOK_EVERY).await;
            }
        });
        let late = |_| {
            let (name, log) = (self.program.name.clone(), self.log.path().to_owned());
            Err(StartError::Late { name, within: READY_WITHIN, log })
        };
        looked.await.unwrap_or_else(late)
    }

    fn crash(&self, status: ExitStatus) -> Crash {
        Crash {
            name: self.program.name.clone(),
            status: told(status),
            lines: self.log.last(),
            log: self.log.path().to_owned(),
        }
    }

    /// Asks it to end, and kills it when that takes too long.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        if timeout(END_WITHIN, self.gone()).await.is_err() {
            self.kill().await;
        }
    }

    /// Kills it, as a machine does that loses power.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.gone().await;
    }

    fn signal(&self, signal: Signal) {
        let _ = self.asked.send(true);
        // Only while it runs: later the number may be somebody else's.
        if self.runs() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    async fn gone(&mut self) {
        let _ = self.ended.wait_for(Option::is_some).await;
    }
}

fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}
