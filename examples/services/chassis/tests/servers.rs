//! Real servers start, answer, survive a crash, and leave nothing behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;

use chassis::servers::{Place, Postgres, Redis};
use sqlx::{AnyConnection, Connection};

/// Is a process at work whose command line speaks of this?
fn somebody_runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok())
        .any(|line| line.contains(word))
}

#[tokio::test]
async fn what_postgres_was_told_survives_a_crash_and_nothing_survives_its_end() {
    let directory = tempfile::Builder::new().prefix("shop-").tempdir().unwrap();
    let word = directory.path().to_str().unwrap().to_owned();
    let opened = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), opened).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let postgres = Postgres::start_at(Place::at(directory.path().join("pg"), port)).await.unwrap();
    let url = postgres.database("shop").await.unwrap();
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE kept (id TEXT)").execute(&mut connection).await.unwrap();
    postgres.kill().unwrap();
    assert!(AnyConnection::connect(&url).await.is_err());
    postgres.start_again().await.unwrap();
    assert_eq!(postgres.database("shop").await.unwrap(), url);
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    sqlx::query("INSERT INTO kept VALUES ('a')").execute(&mut connection).await.unwrap();
    assert!(somebody_runs(&word));
    drop(postgres);
    assert!(!somebody_runs(&word));
    assert!(directory.path().join("pg/data/PG_VERSION").exists(), "a place that was named is kept");
}

#[tokio::test]
async fn redis_answers_and_takes_its_directory_with_it() {
    let redis = Redis::start().await.unwrap();
    let address = redis.url().replace("redis://", "");
    assert!(std::net::TcpStream::connect(&address).is_ok());
    redis.kill().unwrap();
    assert!(std::net::TcpStream::connect(&address).is_err());
    redis.start_again().await.unwrap();
    drop(redis);
    assert!(std::net::TcpStream::connect(&address).is_err());
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let directory = tempfile::Builder::new().prefix("shop-").tempdir().unwrap();
    let opened = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), opened).unwrap();
    let place = Place::at(directory.path().join("redis"), port);
    let said = Redis::start_at(place).await.err().unwrap().to_string();
    assert!(said.contains("Address already in use"), "{said}");
    assert!(Path::new(directory.path()).exists());
}
