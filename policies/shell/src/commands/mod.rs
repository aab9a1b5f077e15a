//! What an operator asks about a document, and the answers in words.

mod ask;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use policies::describe::{diff, effective};
use policies::document::{Document, schema};

use crate::sources;

/// The questions.
#[derive(Subcommand)]
pub enum Question {
    /// Says everything that is wrong with a document, each problem in its line; exits with 1 if anything is.
    Check {
        /// A file, or a directory that is read as one document.
        path: PathBuf,
    },
    /// Says in words what changes from one document to another.
    Diff {
        /// The document in force.
        old: PathBuf,
        /// The document that shall be.
        new: PathBuf,
    },
    /// Says what becomes of a request, and why: the matched route, why others lost, and every policy's verdict.
    Explain(ask::Explain),
    /// Puts an earlier generation of the document in force again, in a running gateway.
    Rollback(ask::Rollback),
    /// Prints the routes in the order they are tried, the most specific first, and why.
    Routes {
        /// A file or a directory.
        path: PathBuf,
    },
    /// Prints the JSON Schema of the language, for editors.
    Schema,
    /// Prints every setting in effect, and where it comes from.
    Settings {
        /// A file or a directory.
        path: PathBuf,
    },
}

/// Prints what was told, or what is wrong, and says how the process ends.
pub fn finish(told: Result<String, String>) -> ExitCode {
    // The last lines say why it ends.
    log::logger().flush();
    match told {
        // A reader that went away (`| head`) is no failure of ours.
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

/// What to print, or what is wrong.
pub fn answer(question: &Question) -> Result<String, String> {
    match question {
        Question::Check { path } => load(path).map(|document| summary(&document)),
        Question::Diff { old, new } => Ok(lines(diff(&load(old)?, &load(new)?))),
        Question::Routes { path } => Ok(lines(load(path)?.order())),
        Question::Explain(explain) => explain.answer(),
        Question::Rollback(rollback) => rollback.answer(),
        Question::Schema => Ok(schema()),
        Question::Settings { path } => Ok(lines(effective(&load(path)?).iter().map(ToString::to_string))),
    }
}

pub(crate) fn load(path: &Path) -> Result<Document, String> {
    let sources = sources::read(path).map_err(|error| error.to_string())?;
    Document::load(&sources).map_err(|error| error.to_string())
}

fn summary(document: &Document) -> String {
    let (inbound, outbound) = (document.inbound.iter(), document.calls.0.values());
    let behind = inbound.map(|inbound| &inbound.routes).chain(outbound.map(|call| &call.routes));
    let routes = document.routes.0.len() + behind.map(|routes| routes.0.len()).sum::<usize>();
    let targets = document.targets.0.len();
    let calls = match document.calls.0.len() {
        0 => String::new(),
        calls => format!(", {calls} calls"),
    };
    let order = lines(document.order().iter().map(|line| format!("  {line}")));
    format!("good: {routes} routes, {targets} targets{calls}; tried in this order:\n{order}")
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}
