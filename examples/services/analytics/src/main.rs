//! Serves figures about the shop.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("analytics", &analytics::MIGRATIONS, analytics::assemble).await
}
