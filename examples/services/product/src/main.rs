//! Serves the catalogue and its search.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("product", &product::MIGRATIONS, product::assemble).await
}
