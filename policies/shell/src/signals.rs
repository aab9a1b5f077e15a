//! What the operating system tells a process. It listens from the first moment on: as the first process of a container it
//! would otherwise be deaf to SIGTERM until it serves.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The signals of this process.
pub struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// End.
    End,
    /// Look at the files again; the log may have been moved.
    Refresh,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let _inside = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        drop(_inside);
        Ok(Self { runtime, terminate, interrupt, hang_up })
    }

    /// Starts something that may take a while. Nothing, if the process was told to end meanwhile: whatever had begun is left.
    pub fn start<T: Send + 'static>(
        &mut self,
        start: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Option<T>> {
        let (started, heard) = oneshot::channel();
        thread::Builder::new().name("banyan-start".into()).spawn(move || started.send(start()))?;
        let Self { runtime, terminate, interrupt, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = terminate.recv() => Ok(None),
                _ = interrupt.recv() => Ok(None),
                started = heard => started.map(Some).map_err(|_| io::Error::other("starting has panicked")),
            }
        })
    }

    /// Waits until something is told, or `other` is done.
    pub fn wait<T>(&mut self, other: impl Future<Output = T>) -> Result<T, Told> {
        let Self { runtime, terminate, interrupt, hang_up } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Err(Told::End),
                _ = interrupt.recv() => Err(Told::End),
                _ = hang_up.recv() => Err(Told::Refresh),
                other = other => Ok(other),
            }
        })
    }
}
