//! A process that ends when we do, even when we are killed and can say nothing.
//!
//! Linux sends a process a signal when its parent has died, if the process asked for it. So we do not start a program,
//! but ourselves; we ask, and become the program. (To ask between fork and exec would need unsafe code.)

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The word by which our own program knows that it is to become another.
pub const WORD: &str = "__leash";

/// A command that starts `program` on a leash; `own` is the program of the demo. Its group is its own, so that Ctrl-C
/// in a terminal is for us alone and we end the others in order.
pub fn command(own: &Path, program: &Path) -> Command {
    let mut command = Command::new(own);
    command.arg(WORD).arg(std::process::id().to_string()).arg(program);
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// Becomes the program: arguments are the parent's id, the program, and what the program is told. Returns only if
/// that cannot be done.
pub fn become_program(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let parent = arguments.next().and_then(|id| id.to_str()?.parse::<i32>().ok());
    let Some(program) = arguments.next() else {
        return io::Error::other("the leash wants the parent's id and a program");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The parent may have died before we asked; then somebody else is our parent now.
    if parent != getppid().map(|parent| parent.as_raw_nonzero().get()) {
        return io::Error::other("the parent is gone");
    }
    Command::new(program).args(arguments).exec()
}
