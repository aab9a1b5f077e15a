//! Serves the shipments.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("shipping", &shipping::MIGRATIONS, shipping::assemble).await
}
