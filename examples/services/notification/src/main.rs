//! Serves what is told to shoppers.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("notification", &notification::MIGRATIONS, notification::assemble).await
}
