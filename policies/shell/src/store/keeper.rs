//! Keeps the connection to the store: asks, hands the answers to the leases, notices failure, and tries again.
//!
//! Down or up is decided here and nowhere else: up when a new connection has answered a question, down when one question
//! got no answer in time. Between the two the leases ask nothing, so nothing piles up for a store that is slow.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::types::config::Config;
use policies::admit::StoreAsk;
use policies::limit::lease::{Leases, Store};
use policies::state::Living;
use policies::time::Tick;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::redis::{Granted, Link, Redis};
use super::{Facts, Reach};
use crate::clock;

/// Questions under way. At one millisecond each, a quarter of a million a second.
const UNDER_WAY_MAX: usize = 256;

/// How long a store that failed is left alone before the next connection, which may take a second: so it is found to be
/// back in less than two.
const PAUSE: Duration = Duration::from_millis(500);

/// A question, its answer, and when it was sent.
type Asked = (StoreAsk, Result<Granted, Error>, Tick);

/// How a connection came to an end.
enum End {
    /// Nobody asks any more.
    Done,
    /// A question got no answer.
    Failed(Error),
    /// It was closed, perhaps only for having been idle.
    Closed,
}

/// Keeps the connection.
pub(super) struct Keeper {
    living: Arc<Living>,
    facts: Arc<Facts>,
    config: Config,
    /// When the store was found to be down.
    failed_at: Option<Tick>,
}

impl Keeper {
    pub(super) fn new(living: Arc<Living>, facts: Arc<Facts>, config: Config) -> Self {
        Self { living, facts, config, failed_at: None }
    }

    /// Until nobody can ask any more.
    pub(super) async fn keep(mut self, mut questions: mpsc::Receiver<StoreAsk>) {
        let living = self.living.clone();
        let Some(leases) = &living.leases else { return };
        loop {
            let failed = match Redis::connect(&self.config).await {
                Ok(redis) => {
                    self.is_up(leases, &mut questions);
                    let since = clock::tick();
                    match self.serve(redis, leases, &mut questions).await {
                        End::Done => return,
                        End::Failed(error) => error,
                        // A store that is restarted, or closes what is idle, is asked again at once.
                        End::Closed if clock::tick().since(since) > PAUSE => continue,
                        End::Closed => Error::new(ErrorKind::IO, "it closes every connection"),
                    }
                }
                Err(error) => error,
            };
            self.is_down(&failed);
            if !pause(leases, &mut questions).await {
                return;
            }
        }
    }

    /// Asks what comes, until the connection fails.
    async fn serve(&self, redis: Redis, leases: &Leases, questions: &mut mpsc::Receiver<StoreAsk>) -> End {
        let Redis { link, mut ended } = redis;
        let mut under_way: JoinSet<Asked> = JoinSet::new();
        let end = loop {
            tokio::select! {
                question = questions.recv(), if under_way.len() < UNDER_WAY_MAX => match question {
                    Some(ask) => self.send(ask, &link, &mut under_way),
                    None => break End::Done,
                },
                Some(landed) = under_way.join_next() => match self.land(landed, leases) {
                    Ok(Some(next)) => self.send(next, &link, &mut under_way),
                    Ok(None) => {}
                    Err(error) => break End::Failed(error),
                },
                _ = &mut ended => break End::Closed,
            }
        };
        leases.report(Store::Down);
        self.facts.reach.send_replace(Reach::Connecting);
        // The others have waited as long: they land within the time a question may take.
        while let Some(landed) = under_way.join_next().await {
            if let Ok(Some(next)) = self.land(landed, leases) {
                next.unanswered(leases);
            }
        }
        end
    }

    fn send(&self, ask: StoreAsk, link: &Link, under_way: &mut JoinSet<Asked>) {
        self.facts.asked.fetch_add(1, Ordering::Relaxed);
        let (link, sent) = (link.clone(), clock::tick());
        under_way.spawn(async move {
            let answer = link.ask(&ask).await;
            (ask, answer, sent)
        });
    }

    /// Tells the lease; returns its next question.
    fn land(&self, landed: Result<Asked, JoinError>, leases: &Leases) -> Result<Option<StoreAsk>, Error> {
        // A question that panicked is gone with its task; its lease gives it up after a second.
        let Ok((ask, answer, sent)) = landed else { return Ok(None) };
        match answer {
            Ok(Granted { permits, full_in }) => {
                let now = clock::tick();
                self.facts.took(now.since(sent));
                Ok(ask.answered(leases, permits, full_in, now))
            }
            Err(error) => {
                self.facts.failed.fetch_add(1, Ordering::Relaxed);
                ask.unanswered(leases);
                Err(error)
            }
        }
    }

    fn is_up(&mut self, leases: &Leases, questions: &mut mpsc::Receiver<StoreAsk>) {
        // Left over from the time when it failed: too old to be worth permits.
        while let Ok(ask) = questions.try_recv() {
            ask.unanswered(leases);
        }
        leases.report(Store::Answers);
        if let Some(failed_at) = self.failed_at.take() {
            let after = clock::tick().since(failed_at);
            log::info!("the store for shared limits {} answers again after {after:.1?}", self.place());
        }
        self.facts.reach.send_replace(Reach::Answers);
    }

    fn is_down(&mut self, error: &Error) {
        let why = error.to_string();
        if self.failed_at.is_none() {
            self.failed_at = Some(clock::tick());
            log::warn!(
                "the store for shared limits {} does not answer ({why}); limits do what `if_store_down` says",
                self.place()
            );
        }
        self.facts.reach.send_replace(Reach::Down(why));
    }

    /// Where it is, without user and password.
    fn place(&self) -> String {
        let hosts = self.config.server.hosts();
        hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Leaves a store that failed alone for a while; false if nobody asks any more.
async fn pause(leases: &Leases, questions: &mut mpsc::Receiver<StoreAsk>) -> bool {
    let over = tokio::time::sleep(PAUSE);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return true,
            question = questions.recv() => match question {
                Some(ask) => ask.unanswered(leases),
                None => return false,
            },
        }
    }
}
