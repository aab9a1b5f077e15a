//! A sidecar's life in a pod: when it may end, and what goes on until then. As a process, told by signals.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::world::{Answer, Client, PATIENCE, aside, eventually, service};

/// A sidecar in a process of its own; it ends with the story.
struct Pod {
    child: Child,
    inbound: SocketAddr,
    admin: SocketAddr,
    web: SocketAddr,
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has just now.
fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.78", 0)).unwrap().local_addr().unwrap()
}

fn pod(folder: &std::path::Path, app: &str, web: &str, more: &[&str]) -> Pod {
    let (inbound, admin, call) = (free(), free(), free());
    let text = format!(
        "version: 1\nservice: {{ name: order, url: {app} }}\ninbound: {{ mtls: permissive }}\n\
         targets: {{ web: {{ url: {web} }} }}\ncalls: {{ web: {{ listen: \"{call}\" }} }}\n"
    );
    let document = folder.join("order.yaml");
    std::fs::write(&document, text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_banyan-sidecar"))
        .args(["run", "--access-log", "off", "--policies"])
        .arg(document)
        .args(["--inbound", &inbound.to_string(), "--admin", &admin.to_string()])
        .args(more)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Pod { child, inbound, admin, web: call }
}

impl Pod {
    fn is_up(&self) {
        eventually("it serves", || Client::to_if(self.admin).is_some());
    }

    fn tell(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    fn get(at: SocketAddr, path: &str) -> Answer {
        Client::to(at).send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn ends(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn it_stays_until_the_app_is_gone_and_the_apps_calls_go_on() {
    let (app, web) = (aside("app"), service("web"));
    let folder = tempfile::tempdir().unwrap();
    let mut pod = pod(folder.path(), &app.url(), &web.url(), &[]);
    pod.is_up();
    assert_eq!(Pod::get(pod.admin, "/ready").status, 200);
    pod.tell("-TERM");
    eventually("it is not ready", || Pod::get(pod.admin, "/ready").status == 503);
    let gentle = Pod::get(pod.inbound, "/echo");
    assert_eq!((gentle.status, gentle.header("connection")), (200, "close"), "{gentle:?}");
    let mut call = Client::to(pod.web);
    for _ in 0..3 {
        let answer = call.send("GET /echo HTTP/1.1\r\nHost: web\r\n\r\n");
        assert!(answer.status == 200 && answer.header("connection").is_empty(), "{answer:?}");
    }
    assert!(pod.child.try_wait().unwrap().is_none(), "the app is still there");
    drop(app);
    drop(call);
    assert!(pod.ends().success());
}

#[test]
fn told_twice_it_ends_at_once() {
    let (app, web) = (service("app"), service("web"));
    let folder = tempfile::tempdir().unwrap();
    let mut pod = pod(folder.path(), &app.url(), &web.url(), &[]);
    pod.is_up();
    pod.tell("-TERM");
    eventually("it has heard", || Pod::get(pod.admin, "/ready").status == 503);
    pod.tell("-TERM");
    assert!(pod.ends().success());
}

#[test]
fn told_before_it_serves_it_ends_at_once() {
    let (app, web) = (service("app"), service("web"));
    // A store that takes connections and says nothing: starting waits a second for it.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let redis = format!("redis://{}", silent.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut pod = pod(folder.path(), &app.url(), &web.url(), &["--redis", &redis]);
    let _held = silent.accept().unwrap();
    pod.tell("-TERM");
    assert!(pod.ends().success());
    assert!(Client::to_if(pod.inbound).is_none());
}
