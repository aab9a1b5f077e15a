//! A redis-server of the test's own: on a port nobody else has, in a folder of its own, ended with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Redis {
    port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl Redis {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Between finding a free port and using it somebody else may take it: then another one.
        for _ in 0..20 {
            let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            if let Some(process) = spawn(&folder, port) {
                return Self { port, folder, process };
            }
        }
        panic!("redis-server finds no port");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// As when its machine loses power.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// A new process in the place of the old one, which remembers nothing.
    pub fn restart(&mut self) {
        let begin = Instant::now();
        self.process = loop {
            if let Some(process) = spawn(&self.folder, self.port) {
                break process;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "redis-server does not get its port back");
        };
    }

    /// Stops (`-STOP`) or continues (`-CONT`) it: its connections stay open, and nothing is answered.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// One command, and its answer as `redis-cli` prints it.
    pub fn say(&self, words: &[&str]) -> String {
        let told =
            Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().unwrap();
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    }

    /// The counter of this product.
    pub fn counter(&self, product: &str) -> Option<i64> {
        self.say(&["GET", &format!("{{inventory}}:available:{product}")]).parse().ok()
    }

    pub fn set_counter(&self, product: &str, to: i64) {
        let key = format!("{{inventory}}:available:{product}");
        assert_eq!(self.say(&["SET", &key, &to.to_string()]), "OK");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that takes questions; `None` if it ended, because somebody else has the port.
fn spawn(folder: &tempfile::TempDir, port: u16) -> Option<Child> {
    let log = folder.path().join("log");
    let _ = std::fs::remove_file(&log);
    // It dies with the thread that started it, also if the test is killed.
    let mut process = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "redis-server", "--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .arg("--logfile")
        .arg(&log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if said.contains("Ready to accept connections") {
            return Some(process);
        }
        if let Some(status) = process.try_wait().unwrap() {
            // 127 is what setpriv says when there is no such program.
            assert_ne!(status.code(), Some(127), "no redis-server: run `apt-get install -y redis-server`");
            return None;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "redis-server is not ready: {said}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
