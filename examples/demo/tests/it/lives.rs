//! Processes are started, watched and ended, and nothing remains of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use demo::process::{Crash, Program, StartError};
use demo::processes::Processes;
use tokio::sync::mpsc;

use crate::{eventually, own};

fn program(name: &str, script: &str) -> Program {
    Program {
        name: name.to_owned(),
        path: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: BTreeMap::new(),
        ready: None,
        tier: 0,
    }
}

/// A server of the folder it runs in: it is well as soon as it listens.
fn server(name: &str, port: u16) -> Program {
    let script =
        format!("echo \"I am $WHO\" > {name}.txt; exec python3 -m http.server --bind 127.0.0.1 {port}");
    Program { ready: Some(format!("http://127.0.0.1:{port}/{name}.txt")), ..program(name, &script) }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn processes(folder: &Path) -> (Processes, mpsc::UnboundedReceiver<Crash>) {
    std::fs::create_dir_all(folder.join("logs")).unwrap();
    let (tell, crashes) = mpsc::unbounded_channel();
    (Processes::new(own(), folder, tell), crashes)
}

fn lives(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

#[tokio::test]
async fn a_process_is_ready_when_it_answers_and_can_be_started_anew_with_another_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, mut crashes) = processes(folder.path());
    let port = free_port();
    let mut one = server("one", port);
    one.environment.insert("WHO".to_owned(), "first".to_owned());
    all.start(vec![one]).await.unwrap();
    let says = async || {
        reqwest::get(format!("http://127.0.0.1:{port}/one.txt")).await.unwrap().text().await.unwrap()
    };
    assert_eq!(says().await, "I am first\n");
    let first = all.all()[0].id();
    all.restart("one", &[("WHO", "second")]).await.unwrap();
    assert_eq!(says().await, "I am second\n");
    assert!(!lives(first), "the first one has ended");
    all.end().await;
    assert!(reqwest::get(format!("http://127.0.0.1:{port}/one.txt")).await.is_err());
    assert!(crashes.try_recv().is_err(), "to be ended is no crash");
}

#[tokio::test]
async fn a_crash_is_told_at_once_with_its_status_and_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, mut crashes) = processes(folder.path());
    all.start(vec![program("sick", "echo out of luck >&2; exit 3")]).await.unwrap();
    let crash = crashes.recv().await.unwrap();
    assert_eq!(crash.name, "sick");
    let told = crash.to_string();
    assert!(told.starts_with("sick has crashed: it ended with 3\n  | out of luck\n"), "{told}");
    all.end().await;
}

#[tokio::test]
async fn a_process_that_ends_before_it_is_ready_is_told_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, _crashes) = processes(folder.path());
    let port = free_port();
    let mut broken = program("broken", "echo no such setting; exit 1");
    broken.ready = Some(format!("http://127.0.0.1:{port}/"));
    let error = all.start(vec![broken]).await.unwrap_err();
    assert!(matches!(&error, StartError::Crashed(crash) if crash.lines == ["no such setting"]), "{error}");
    all.end().await;
}

#[tokio::test]
async fn nothing_remains_of_a_process_that_does_not_want_to_end_nor_of_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, mut crashes) = processes(folder.path());
    let stubborn = "trap '' TERM; sleep 1000 & echo $! > child.part; mv child.part child; wait; wait";
    all.start(vec![program("stubborn", stubborn)]).await.unwrap();
    let child = folder.path().join("child");
    eventually("the child runs", async || child.exists()).await;
    let child: u32 = std::fs::read_to_string(child).unwrap().trim().parse().unwrap();
    let parent = all.all()[0].id();
    assert!(lives(child) && lives(parent));
    all.kill("stubborn").await.unwrap();
    assert!(!lives(parent) && !all.all()[0].runs());
    eventually("the child is gone", async || !lives(child)).await;
    all.end().await;
    assert!(crashes.try_recv().is_err());
}

#[tokio::test]
async fn tiers_begin_in_their_order_and_end_in_the_opposite_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, _crashes) = processes(folder.path());
    let tier = |name: &str, tier: u8| {
        let script = format!(
            "echo +{name} >> story; trap 'echo -{name} >> story; exit 0' TERM; touch {name}; sleep 1000 & wait"
        );
        Program { tier, ..program(name, &script) }
    };
    all.start(vec![tier("last", 2), tier("first", 0)]).await.unwrap();
    for name in ["first", "last"] {
        eventually("it runs", async || folder.path().join(name).exists()).await;
    }
    all.end().await;
    let story = std::fs::read_to_string(folder.path().join("story")).unwrap();
    assert!(story.ends_with("-last\n-first\n"), "{story}");
}

#[tokio::test]
async fn who_is_killed_takes_its_processes_along() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("pid");
    // This shell is the demo, which is killed and can say nothing.
    let script = format!(
        "{} __leash $$ /bin/sh -c 'echo $$ > pid.part; mv pid.part pid; exec sleep 1000' & wait",
        own().display()
    );
    let mut parent = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the process runs", async || seen.exists()).await;
    let pid: u32 = std::fs::read_to_string(&seen).unwrap().trim().parse().unwrap();
    assert!(lives(pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the process is gone", async || !lives(pid)).await;
}
