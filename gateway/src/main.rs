//! `banyan-gateway`: runs a gateway, and answers what an operator asks about a document.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gateway::gateway::run;
use gateway::settings::Settings;
use shell::commands::{Question, answer, finish};

/// What is allocated per request is freed on the same thread: this allocator makes that cheap.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "banyan-gateway", version, about = "An API gateway with one policy language.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves: reads the policies, listens, and goes on until SIGTERM.
    Run(Box<Settings>),
    #[command(flatten)]
    Ask(Box<Question>),
}

fn main() -> ExitCode {
    finish(match Arguments::parse().command {
        Command::Run(settings) => run(&settings).map(|()| String::new()).map_err(|error| error.to_string()),
        Command::Ask(question) => answer(&question),
    })
}
