//! `shop-order`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("order", &order::MIGRATIONS, order::assemble).await
}
