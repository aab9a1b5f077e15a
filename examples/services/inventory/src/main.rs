//! Serves what is in stock.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("inventory", &inventory::MIGRATIONS, inventory::assemble).await
}
