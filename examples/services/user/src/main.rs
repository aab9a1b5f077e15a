//! Serves who the shoppers are.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("user", &user::MIGRATIONS, user::assemble).await
}
