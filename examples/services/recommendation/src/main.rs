//! Serves what shoppers may like.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("recommendation", &recommendation::MIGRATIONS, recommendation::assemble).await
}
