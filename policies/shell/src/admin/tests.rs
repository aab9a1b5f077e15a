//! What the admin pages promise while somebody does not play along: a silent reader, a page that takes long, one that breaks.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc;

use policies::state::{Living, Room};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::reload::Plans;

/// Nothing here takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);
const DOCUMENT: &str = "version: 1\nroutes: [{ name: all, path: /**, answer: { status: 200 } }]\n";

fn admin(metrics: impl Fn() -> String + Send + Sync + 'static) -> Arc<Admin> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    std::fs::write(&path, DOCUMENT).unwrap();
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let plans = Plans::load(&path, None, living, Box::new(|_| Ok(Box::new(|| {})))).unwrap();
    let nothing = || Arc::new(|| serde_json::Value::Null) as Arc<dyn Fn() -> serde_json::Value + Send + Sync>;
    let hooks = Hooks {
        plans: Arc::new(plans),
        is_ready: Arc::new(|| true),
        metrics: Arc::new(metrics),
        targets: nothing(),
        limits: nothing(),
        connections: nothing(),
        drain: Arc::new(|| {}),
    };
    Arc::new(Admin::new(Gate { hosts: Vec::new(), token: None }, hooks))
}

/// A client that has asked, and has not read anything yet.
async fn ask(admin: &Arc<Admin>, path: &str) -> DuplexStream {
    let (mut client, server) = duplex(1024);
    tokio::spawn(admin.clone().converse(server, PATIENCE));
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

async fn read(client: &mut DuplexStream) -> String {
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_loses_its_place() {
    let admin = admin(|| "x".repeat(1 << 20));
    let (mut client, server) = duplex(64);
    let conversation = tokio::spawn(admin.converse(server, Duration::from_millis(200)));
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    tokio::time::timeout(PATIENCE, conversation).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_page_that_takes_long_does_not_hold_the_house() {
    let (release, released) = mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let admin = admin(move || match released.lock().unwrap().recv_timeout(PATIENCE) {
        Ok(()) => "released".into(),
        Err(_) => "nobody else got a turn".into(),
    });
    let mut slow = ask(&admin, "/metrics").await;
    assert!(read(&mut ask(&admin, "/live").await).await.ends_with("alive\n"));
    release.send(()).unwrap();
    let told = read(&mut slow).await;
    assert!(told.ends_with("released"), "{told}");
}

#[tokio::test]
async fn explaining_waits_its_turn_and_nothing_else_does() {
    let admin = admin(String::new);
    let turn = admin.explaining.clone().acquire_owned().await.unwrap();
    let mut waits = ask(&admin, "/explain?url=http://shop.example/x").await;
    assert!(read(&mut ask(&admin, "/live").await).await.ends_with("alive\n"));
    let mut early = [0];
    let nothing = tokio::time::timeout(Duration::from_millis(50), waits.read(&mut early)).await;
    assert!(nothing.is_err(), "it did not wait");
    drop(turn);
    let told = read(&mut waits).await;
    assert!(told.contains("is answered here: 200"), "{told}");
}

#[tokio::test]
async fn a_page_that_breaks_is_answered_and_the_next_one_is_well() {
    let admin = admin(|| panic!("a metric that cannot be told"));
    let told = read(&mut ask(&admin, "/metrics").await).await;
    assert!(told.starts_with("HTTP/1.1 500 ") && !told.contains("cannot be told"), "{told}");
    assert!(read(&mut ask(&admin, "/live").await).await.starts_with("HTTP/1.1 200 "));
}
