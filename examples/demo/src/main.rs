//! Runs the whole shop behind the two proxies, and tells its story.

use std::process::ExitCode;

use clap::Parser;
use demo::leash;
use demo::settings::Settings;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == leash::WORD) {
        eprintln!("{}", leash::become_program(arguments));
        return ExitCode::from(127);
    }
    let settings = Settings::parse();
    let run =
        |runtime: Runtime| runtime.block_on(demo::demo::run(&settings)).map_err(|error| error.to_string());
    match Runtime::new().map_err(|error| error.to_string()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
