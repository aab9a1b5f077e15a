//! Serves what shoppers say of products.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("review", &review::MIGRATIONS, review::assemble).await
}
