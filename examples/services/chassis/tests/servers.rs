//! Real servers start, answer, survive a crash, and leave nothing behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use chassis::servers::{Place, Postgres, Rabbit, Redis};
use chassis::testing::until;
use sqlx::{AnyConnection, Connection};
use tempfile::TempDir;

/// Is a process at work that was told this, as an argument or in its environment?
fn somebody_runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let told =
        |process: &std::fs::DirEntry, file| std::fs::read(process.path().join(file)).unwrap_or_default();
    processes.filter(|process| process.file_name() != std::process::id().to_string().as_str()).any(
        |process| {
            [told(&process, "cmdline"), told(&process, "environ")]
                .iter()
                .any(|told| String::from_utf8_lossy(told).contains(word))
        },
    )
}

/// A directory into which the servers' own users may look.
fn open_directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("shop-").tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The test below, as a process that has servers and is killed.
const HOLDS: &str = "HOLDS_SERVERS";

#[tokio::test]
async fn servers_end_with_a_process_that_is_killed() {
    if std::env::var_os(HOLDS).is_some() {
        let _held = (Rabbit::start(&[]).await.unwrap(), Postgres::start().await.unwrap());
        println!("they run");
        std::future::pending::<()>().await;
    }
    let directory = open_directory();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_end_with_a_process_that_is_killed", "--nocapture"])
        .env(HOLDS, "1")
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    // The word stands behind the name of the test.
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("they run")));
    let word = directory.path().to_str().unwrap();
    assert!(somebody_runs(word));
    holder.kill().unwrap();
    holder.wait().unwrap();
    until("all have ended", async || !somebody_runs(word)).await;
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "their directories are gone too");
}

#[tokio::test]
async fn what_postgres_was_told_survives_a_crash_and_nothing_survives_its_end() {
    let directory = open_directory();
    let word = directory.path().to_str().unwrap().to_owned();
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
    let directory = open_directory();
    let place = Place::at(directory.path().join("redis"), port);
    let said = Redis::start_at(place).await.err().unwrap().to_string();
    assert!(said.contains("Address already in use"), "{said}");
}
