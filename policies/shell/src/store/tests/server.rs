//! A redis-server of the test's own: on a port nobody else has, in a folder of its own, ended with the test.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    pub port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

/// Waits for a condition, and says what it waited for if it does not come.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "still not: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    begin.elapsed()
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Between finding a free port and using it somebody else may take it: then another one.
        for _ in 0..20 {
            let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            let mut process = spawn(&folder, port);
            if answers(&mut process, &folder, port) {
                return Self { port, folder, process };
            }
        }
        panic!("redis-server finds no port");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// A new process in the place of the old one: no keys, no scripts, no settings.
    pub fn restart(&mut self) {
        eventually("redis-server again on its port", || {
            self.process = spawn(&self.folder, self.port);
            answers(&mut self.process, &self.folder, self.port)
        });
    }

    /// Stops (`-STOP`) or continues (`-CONT`) the process: its connections stay open, and nothing is answered.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn talk(&self) -> Talk {
        Talk::to(self.port).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &tempfile::TempDir, port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server ({error}): run `apt-get install -y redis-server`"))
}

/// Does it answer before it ends? It and no other: only this one works in this folder.
fn answers(process: &mut Child, folder: &tempfile::TempDir, port: u16) -> bool {
    let folder = folder.path().canonicalize().unwrap().display().to_string();
    let mut answers = false;
    eventually("redis-server answers or ends", || {
        answers = Talk::to(port)
            .and_then(|mut talk| talk.try_say(&["CONFIG", "GET", "dir"]).ok())
            .is_some_and(|answer| answer.last() == Some(&folder));
        answers || process.try_wait().unwrap().is_some()
    });
    answers
}

/// A connection for plain commands.
pub struct Talk(BufReader<TcpStream>);

impl Talk {
    fn to(port: u16) -> Option<Self> {
        Some(Self(BufReader::new(TcpStream::connect(("127.0.0.1", port)).ok()?)))
    }

    /// One command; its answer, line by line, as the store writes it.
    pub fn say(&mut self, words: &[&str]) -> Vec<String> {
        self.try_say(words).unwrap()
    }

    fn try_say(&mut self, words: &[&str]) -> std::io::Result<Vec<String>> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(text.as_bytes())?;
        let first = self.line()?;
        let lines = match first.split_at(1) {
            ("*", count) => count.parse().unwrap(),
            ("$", length) if length != "-1" => 1,
            _ => 0,
        };
        let mut answer = vec![first];
        for _ in 0..lines {
            let line = self.line()?;
            answer.push(if line.starts_with('$') { self.line()? } else { line });
        }
        Ok(answer)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
