//! `shop-legacy`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    chassis::run("legacy-shop", &legacy_shop::MIGRATIONS, legacy_shop::assemble).await
}
