//! All processes: started in their order, each by itself stopped, killed and started anew, ended in the opposite order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::mpsc;

use crate::process::{Crash, Process, Program, StartError};

/// A process that takes longer to say that it is well is not ready.
const HEALTH_WITHIN: Duration = Duration::from_secs(2);

/// The processes of the demo.
#[derive(Debug)]
pub struct Processes {
    own: PathBuf,
    folder: PathBuf,
    all: Vec<Process>,
    crashes: mpsc::UnboundedSender<Crash>,
    client: reqwest::Client,
}

impl Processes {
    /// None yet. `own` is the demo's program, the processes run in `folder`, crashes are told to `crashes`.
    pub fn new(own: PathBuf, folder: &Path, crashes: mpsc::UnboundedSender<Crash>) -> Self {
        let client = reqwest::Client::builder().timeout(HEALTH_WITHIN).build().unwrap_or_default();
        Self { own, folder: folder.to_owned(), all: Vec::new(), crashes, client }
    }

    /// Starts all of them, tier by tier: a tier is ready before the next one begins.
    pub async fn start(&mut self, mut programs: Vec<Program>) -> Result<(), StartError> {
        programs.sort_by_key(|program| program.tier);
        for tier in programs.chunk_by(|one, next| one.tier == next.tier) {
            let first = self.all.len();
            for program in tier {
                self.all.push(self.begin(program.clone())?);
            }
            let begun = self.all.get(first..).unwrap_or_default();
            try_join_all(begun.iter().map(|process| process.ready(&self.client))).await?;
        }
        Ok(())
    }

    fn begin(&self, program: Program) -> Result<Process, StartError> {
        Process::start(&self.own, &self.folder, program, self.crashes.clone())
    }

    /// All of them.
    pub fn all(&self) -> &[Process] {
        &self.all
    }

    /// Asks one to end, and waits until it has.
    pub async fn stop(&mut self, name: &str) -> Result<(), StartError> {
        self.find(name)?.stop().await;
        Ok(())
    }

    /// Kills one.
    pub async fn kill(&mut self, name: &str) -> Result<(), StartError> {
        self.find(name)?.kill().await;
        Ok(())
    }

    /// Ends one, if it still runs, and starts it anew; with another environment, where `changes` say so.
    pub async fn restart(&mut self, name: &str, changes: &[(&str, &str)]) -> Result<(), StartError> {
        let process = self.find(name)?;
        process.stop().await;
        let mut program = process.program.clone();
        let changes = changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        program.environment.extend(changes);
        let begun = self.begin(program)?;
        let process = self.find(name)?;
        *process = begun;
        let client = self.client.clone();
        self.find(name)?.ready(&client).await
    }

    fn find(&mut self, name: &str) -> Result<&mut Process, StartError> {
        let found = self.all.iter_mut().find(|process| process.program.name == name);
        found.ok_or_else(|| StartError::Nobody(name.to_owned()))
    }

    /// Ends all of them, the last tier first.
    pub async fn end(&mut self) {
        self.all.sort_by_key(|process| std::cmp::Reverse(process.program.tier));
        for tier in self.all.chunk_by_mut(|one, next| one.program.tier == next.program.tier) {
            join_all(tier.iter_mut().map(Process::stop)).await;
        }
        self.all.clear();
    }
}
