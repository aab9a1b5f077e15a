//! The policies: files a reader can read, copied into the folder of the run. The proxies run on the copies; the tour
//! edits those as an operator does, and waits until the gateway says that they are in force.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::shop::{GATEWAY_ADMIN, SERVICES};

/// The document of the gateway, in the folder of the run.
pub const GATEWAY_POLICIES: &str = "policies/gateway.yaml";
/// A change is seen within a second; a machine with much to do may take longer.
const SEEN_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The document of a sidecar, in the folder of the run.
pub fn sidecar_policies(service: &str) -> String {
    format!("policies/sidecars/{service}.yaml")
}

/// Where the files are that all is copied from.
pub fn originals() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"))
}

/// A chapter of the story: which policies the gateway has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chapter {
    /// Everything through the monolith.
    Monolith,
    /// Orders need a token.
    Token,
    /// Nobody gets more than a fair part.
    Limits,
    /// The catalogue begins to move.
    Products,
    /// The catalogue has moved.
    Catalogue,
    /// All of it is services.
    Services,
}

impl Chapter {
    /// Its file.
    pub fn file(self) -> PathBuf {
        originals().join("gateway").join(match self {
            Self::Monolith => "1-monolith.yaml",
            Self::Token => "2-token.yaml",
            Self::Limits => "3-limits.yaml",
            Self::Products => "4-products.yaml",
            Self::Catalogue => "5-catalogue.yaml",
            Self::Services => "6-services.yaml",
        })
    }
}

/// The policies of a run.
#[derive(Debug)]
pub struct Policies {
    folder: PathBuf,
    client: reqwest::Client,
}

/// How the gateway's document stands: its page `/generations`.
#[derive(Clone, Debug, Deserialize)]
pub struct Standing {
    /// Which is in force.
    pub generation: u64,
    /// How many were refused so far.
    pub failures: u64,
    /// The last one was refused: why.
    pub last_failure: Option<Refused>,
    /// The last ones, the newest first.
    pub generations: Vec<Generation>,
}

/// A document that was refused.
#[derive(Clone, Debug, Deserialize)]
pub struct Refused {
    /// What is wrong with it, with the line.
    pub problems: String,
}

/// A document that is or was in force.
#[derive(Clone, Debug, Deserialize)]
pub struct Generation {
    /// What changed with it, in words.
    pub words: String,
}

/// An edit that did not do what it was for.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum EditError {
    #[error("the gateway's admin page: {0}")]
    Admin(#[from] reqwest::Error),
    #[error("policies: {0}")]
    Io(#[from] io::Error),
    #[error("the gateway refused the document: {0}")]
    Refused(String),
    #[error("the gateway took a document that is wrong")]
    Taken,
    #[error("the gateway did not look at the document in {} s", SEEN_WITHIN.as_secs())]
    Unseen,
}

impl Policies {
    /// Copies what the sidecars have, and the gateway's first chapter, into the folder of the run.
    pub fn copy(run: &Path, first: Chapter) -> io::Result<Self> {
        for service in &SERVICES {
            let from = originals().join("sidecars").join(format!("{}.yaml", service.name));
            fs::copy(from, run.join(sidecar_policies(service.name)))?;
        }
        fs::copy(first.file(), run.join(GATEWAY_POLICIES))?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap_or_default();
        Ok(Self { folder: run.to_owned(), client })
    }

    /// The gateway's document as it stands in the file.
    pub fn gateway(&self) -> io::Result<String> {
        fs::read_to_string(self.folder.join(GATEWAY_POLICIES))
    }

    /// Turns to a chapter. What changed, in the gateway's words.
    pub async fn turn_to(&self, chapter: Chapter) -> Result<String, EditError> {
        self.write(&fs::read_to_string(chapter.file())?).await
    }

    /// Writes the gateway's document, and waits until it is in force. What changed, in the gateway's words.
    pub async fn write(&self, text: &str) -> Result<String, EditError> {
        let (before, after) = self.offer(text).await?;
        if after.failures > before.failures {
            return Err(EditError::Refused(
                after.last_failure.map(|failure| failure.problems).unwrap_or_default(),
            ));
        }
        Ok(after.generations.into_iter().next().map(|newest| newest.words).unwrap_or_default())
    }

    /// Writes a document that is wrong, and waits until it was refused. Why, in the gateway's words.
    pub async fn write_wrong(&self, text: &str) -> Result<String, EditError> {
        let (before, after) = self.offer(text).await?;
        match after.last_failure {
            Some(failure) if after.generation == before.generation => Ok(failure.problems),
            _ => Err(EditError::Taken),
        }
    }

    /// Writes back what is in force, after something wrong was written: nothing changes, and the gateway is content.
    pub async fn restore(&self, text: &str) -> Result<(), EditError> {
        self.replace(text)?;
        let until = Instant::now() + SEEN_WITHIN;
        while self.standing().await?.last_failure.is_some() {
            if Instant::now() > until {
                return Err(EditError::Unseen);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// As an editor does: nobody ever sees half a document.
    fn replace(&self, text: &str) -> io::Result<()> {
        let path = self.folder.join(GATEWAY_POLICIES);
        let part = path.with_extension("part");
        fs::write(&part, text)?;
        fs::rename(part, path)
    }

    /// How the gateway stood before and after it looked at the document.
    async fn offer(&self, text: &str) -> Result<(Standing, Standing), EditError> {
        let before = self.standing().await?;
        if self.gateway()? == text {
            return Ok((before.clone(), before));
        }
        self.replace(text)?;
        let until = Instant::now() + SEEN_WITHIN;
        while Instant::now() < until {
            let now = self.standing().await?;
            if now.generation > before.generation || now.failures > before.failures {
                return Ok((before, now));
            }
            sleep(LOOK_EVERY).await;
        }
        Err(EditError::Unseen)
    }

    /// How the gateway's document stands.
    pub async fn standing(&self) -> Result<Standing, EditError> {
        let url = format!("http://127.0.0.1:{GATEWAY_ADMIN}/generations");
        Ok(self.client.get(url).send().await?.error_for_status()?.json().await?)
    }
}
