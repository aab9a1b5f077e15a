//! `shop-payment`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("payment", &payment::MIGRATIONS, payment::assemble).await
}
