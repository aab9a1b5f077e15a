//! The life of a demo: looks whether it can start, starts all, lets shoppers in, and ends all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chassis::servers::ServerError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::authority::{self, AuthorityError};
use crate::collector::Collector;
use crate::folder::Folder;
use crate::ledger::Ledger;
use crate::load::{self, Load, LoadError};
use crate::policies::{Chapter, Policies};
use crate::port::{self, Taken};
use crate::process::StartError;
use crate::processes::Processes;
use crate::programs::{self, Stores};
use crate::servers::Servers;
use crate::settings::Settings;
use crate::shop::{COLLECTOR, GATEWAY};
use crate::shoppers::{Habits, Shoppers};
use crate::summary::{self, Open, Style, Voice};
use crate::tour::{self, TourError};

/// The pace of people who stroll.
const HABITS: Habits = Habits { think: Duration::from_millis(600), buys: 40 };

/// Why a demo did not come to its end.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum DemoError {
    #[error("{0}")]
    Authority(#[from] AuthorityError),
    #[error("the books: {0}")]
    Books(#[from] sqlx::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the load report: {0}")]
    Load(#[from] LoadError),
    #[error("not built yet: {}; `make demo` builds them", list(.0))]
    Missing(Vec<PathBuf>),
    #[error("{0}")]
    Ports(#[from] Taken),
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Tour(#[from] TourError),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A shop that is open.
pub struct Demo {
    /// Its folder.
    pub folder: Folder,
    /// Where its services keep what they know.
    pub stores: Stores,
    /// All that runs.
    pub processes: Processes,
    /// The servers it runs on, if there are any.
    servers: Option<Servers>,
    /// What the proxies do.
    pub policies: Policies,
    /// The traces.
    pub collector: Collector,
    /// Those inside.
    pub shoppers: Arc<Shoppers>,
    /// Speaks to whoever watches.
    pub voice: Voice,
}

/// Runs a demo from its start to its end.
pub async fn run(settings: &Settings) -> Result<(), DemoError> {
    let own = std::env::current_exe()?;
    let bin = own.parent().map(PathBuf::from).unwrap_or_default();
    let missing = programs::missing(&bin);
    if !missing.is_empty() {
        return Err(DemoError::Missing(missing));
    }
    // Before anything is touched: the folder may be that of a demo that runs.
    port::all_free(&programs::ports(settings.servers))?;
    let folder = Folder::make(&bin.parent().unwrap_or(&bin).join("demo"))?;
    authority::issue(&folder.path().join("certs"))?;
    let first = if settings.tour { Chapter::Monolith } else { Chapter::Services };
    let policies = Policies::copy(folder.path(), first)?;

    let (voice, hear) = summary::speak();
    let (crash, crashes) = mpsc::unbounded_channel();
    let (tell_page, page) = watch::channel(String::new());
    let (open, opened) = watch::channel(None);
    let style = if settings.quiet { Style::Quiet } else { Style::fitting() };
    let written = tokio::spawn(summary::write(hear, crashes, opened, tell_page, style));
    let collector = Collector::default();
    let served = tokio::spawn(collector.clone().serve(COLLECTOR, page));
    let shoppers = Arc::new(Shoppers::new(&format!("http://127.0.0.1:{GATEWAY}")));
    let processes = Processes::new(own, folder.path(), crash);
    let (stores, servers) = Default::default();
    let mut demo = Demo { folder, stores, processes, servers, policies, collector, shoppers, voice };

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let played = tokio::select! {
        played = demo.play(settings, &bin, &open) => played,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    let _ = open.send(None);
    demo.voice.say("ending all of it");
    tokio::select! {
        () = demo.end() => {}
        // Whoever is asked twice does not wait: the others are on a leash.
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    served.abort();
    let Demo { folder, voice, .. } = demo;
    match &played {
        Ok(()) if !settings.keep => folder.remove()?,
        _ => voice.say(format!("kept: {}", folder.path().display())),
    }
    drop(voice);
    let _ = written.await;
    played
}

impl Demo {
    async fn play(
        &mut self,
        settings: &Settings,
        bin: &Path,
        open: &watch::Sender<Option<Open>>,
    ) -> Result<(), DemoError> {
        if settings.servers {
            self.voice.say("starting Postgres, Redis and RabbitMQ");
            let servers = self.servers.insert(Servers::start().await?);
            self.stores = servers.stores();
        }
        let programs = programs::all(bin, &self.folder, &self.stores);
        let logs = self.folder.path().join("logs");
        self.voice.say(format!("starting {} programs; their logs are in {}", programs.len(), logs.display()));
        self.processes.start(programs).await?;
        if settings.tour {
            self.voice.say("all of it runs; the tour begins");
            return Ok(tour::play(self).await?);
        }
        if let Some(seconds) = settings.load {
            self.voice.say("all of it runs; the load begins");
            let report = load::report(self, Load::of(settings, seconds)).await?;
            self.voice.say(report);
            return Ok(());
        }
        self.voice.say(format!("all of it runs\n\n{}", summary::places()));
        let ledger = Arc::new(Ledger::open(&self.folder, &self.stores).await?);
        let _ = open.send(Some(Open { street: self.shoppers.street.clone(), ledger }));
        self.shoppers.stroll(usize::from(settings.shoppers), HABITS);
        match settings.lasts {
            Some(lasts) => sleep(lasts).await,
            None => std::future::pending().await,
        }
        Ok(())
    }

    async fn end(&mut self) {
        self.shoppers.leave().await;
        self.processes.end().await;
        if let Some(servers) = self.servers.take() {
            servers.end().await;
        }
    }
}
