//! Runs the whole shop behind the two proxies, and tells its story.

use std::process::ExitCode;

use demo::leash;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == leash::WORD) {
        let error = leash::become_program(arguments);
        eprintln!("{error}");
        return ExitCode::from(127);
    }
    ExitCode::SUCCESS
}
