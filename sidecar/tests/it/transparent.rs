//! The kernel sends the app's connections round through the sidecar. In a network namespace of its own, with real rules:
//! the story runs itself again inside of one. Only root may do that; for everybody else it says so, and is not told.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{Answer, Client, eventually, service_at};

/// Set inside the namespace.
const INSIDE: &str = "BANYAN_STORY_INSIDE";
/// The user the sidecar runs as: its own connections go out untouched.
const SIDECAR_UID: u32 = 31_337;

#[test]
fn connections_are_redirected_and_carried_where_they_were_going() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    if !may_make_namespaces() {
        eprintln!("SKIPPED, AND NOT PROVED: only root can make a network namespace and redirect rules");
        return;
    }
    let me = std::env::current_exe().unwrap();
    let story = "transparent::connections_are_redirected_and_carried_where_they_were_going";
    let mut again = Command::new("unshare");
    again.arg("--net").arg(me).args(["--exact", story, "--nocapture"]).env(INSIDE, "1");
    let told = told_by(&mut again);
    assert!(told.0 && told.1.contains("1 passed"), "{}", told.1);
}

fn told_by(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), text.concat())
}

/// Root in a container may not be root enough.
fn may_make_namespaces() -> bool {
    Command::new("unshare")
        .args(["--net", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn run(line: &str) {
    let (fine, told) = told_by(Command::new("sh").args(["-c", line]));
    assert!(fine, "{line}: {told}");
}

/// A sidecar in a process of its own, as another user; it ends with the story.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sidecar(document: &std::path::Path, uid: u32, ports: (u16, u16, u16)) -> Beside {
    let (inbound, outbound, admin) = ports;
    let child = Command::new(env!("CARGO_BIN_EXE_banyan-sidecar"))
        .args(["run", "--transparent", "--access-log", "off", "--policies"])
        .arg(document)
        .args([
            "--inbound",
            &format!("0.0.0.0:{inbound}"),
            "--outbound",
            &format!("127.0.0.1:{outbound},[::1]:{outbound}"),
        ])
        .args(["--admin", &format!("127.0.0.1:{admin}"), "--detect-within", "150ms"])
        .uid(uid)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let beside = Beside(child);
    eventually("the sidecar is there", || Client::to_if(([127, 0, 0, 1], admin).into()).is_some());
    beside
}

fn get(at: &str, host: &str, path: &str) -> Answer {
    let at: SocketAddr = at.parse().unwrap();
    Client::to(at).send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// A server that speaks first.
fn greeter(at: SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.write_all(b"5.7.42 ready\n").unwrap();
                let mut word = [0; 4];
                stream.read_exact(&mut word).unwrap();
                stream.write_all(&word).unwrap();
            });
        }
    });
}

fn greeted(at: &str) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(at.parse::<SocketAddr>().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut greeting = [0; 13];
    stream.read_exact(&mut greeting).unwrap();
    let took = begun.elapsed();
    stream.write_all(b"ping").unwrap();
    let mut word = [0; 4];
    stream.read_exact(&mut word).unwrap();
    assert_eq!((&greeting, &word), (b"5.7.42 ready\n", b"ping"));
    took
}

fn inside() {
    run("ip link set lo up");
    for address in ["10.99.0.2/32", "10.99.0.3/32", "10.99.0.4/32", "10.99.0.5/32", "fd99::2/128"] {
        // Nobody else is here to have it already: without `nodad` the kernel may look for a while.
        let nodad = if address.contains(':') { "nodad" } else { "" };
        run(&format!("ip address add {address} dev lo {nodad}"));
    }
    let web = service_at("web", SocketAddr::new(IpAddr::from([10, 99, 0, 2]), 80));
    let web6 = service_at("web6", "[fd99::2]:80".parse().unwrap());
    let elsewhere = service_at("elsewhere", SocketAddr::new(IpAddr::from([10, 99, 0, 4]), 8080));
    let app = service_at("app", "127.0.0.1:8080".parse().unwrap());
    greeter("10.99.0.3:3306".parse().unwrap());
    greeter("10.99.0.4:3306".parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    run(&format!("chmod 755 {}", folder.path().display()));
    let document = folder.path().join("order.yaml");
    let write = |undeclared: &str| {
        let text = format!(
            "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:8080\", undeclared: {undeclared} }}\n\
             inbound: {{ mtls: permissive }}\n\
             targets:\n  web: {{ endpoints: [\"http://10.99.0.2:80\"] }}\n  web6: {{ endpoints: [\"http://[fd99::2]:80\"] }}\n\
             \x20 ledger: {{ url: \"http://10.99.0.3:3306\", protocol: tcp }}\n\
             calls: {{ web: {{}}, web6: {{}}, ledger: {{}} }}\n"
        );
        std::fs::write(&document, text).unwrap();
    };
    write("pass");
    // What the init container of a pod does: out to one port, in to the other, the sidecar's own traffic exempt.
    let out = format!("-m owner ! --uid-owner {SIDECAR_UID} -j REDIRECT --to-ports 15001");
    run(&format!(
        "iptables -t nat -A OUTPUT -p tcp -d 10.99.0.5 --dport 8080 -m owner ! --uid-owner {SIDECAR_UID} -j REDIRECT --to-ports 15006"
    ));
    run(&format!("iptables -t nat -A OUTPUT -p tcp -d 10.99.0.0/24 {out}"));
    run(&format!("ip6tables -t nat -A OUTPUT -p tcp -d fd99::/64 {out}"));
    let beside = sidecar(&document, SIDECAR_UID, (15006, 15001, 9902));

    let answer = get("10.99.0.2:80", "web", "/echo");
    assert!(answer.body.contains("x-banyan-deadline"), "declared, by Host: {answer:?}");
    let answer = get("10.99.0.2:80", "www.shop.example", "/echo");
    assert!(
        answer.body.contains("x-banyan-deadline") && answer.body.contains("host: web\r\n"),
        "declared, by its address: {answer:?}"
    );
    let answer = get("[fd99::2]:80", "web6", "/echo");
    assert!(
        answer.body.starts_with("web6 got") && answer.body.contains("x-banyan-deadline"),
        "IPv6: {answer:?}"
    );
    let answer = get("10.99.0.4:8080", "elsewhere.example", "/echo");
    assert!(
        answer.body.starts_with("elsewhere got") && !answer.body.contains("x-banyan"),
        "undeclared passes: {answer:?}"
    );
    assert!(greeted("10.99.0.3:3306") < Duration::from_millis(140), "a declared protocol waits for nothing");
    let took = greeted("10.99.0.4:3306");
    assert!(took < Duration::from_secs(2), "an undeclared one waits as long as stated, not {took:?}");
    let answer = get("10.99.0.5:8080", "order", "/echo");
    assert!(
        answer.body.starts_with("app got") && answer.body.contains("x-banyan-deadline"),
        "inbound: {answer:?}"
    );

    write("refuse");
    eventually("what nobody declared is refused", || {
        get("10.99.0.4:8080", "elsewhere.example", "/echo").status == 0
    });
    let answer = get("10.99.0.2:80", "web", "/echo");
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(beside);

    // A sidecar that runs as the app does is sent its own connections: it finds out, and does not go round for ever.
    write("pass");
    run("iptables -t nat -F OUTPUT");
    run("iptables -t nat -A OUTPUT -p tcp -d 10.99.0.0/24 -j REDIRECT --to-ports 15011");
    let _beside = sidecar(&document, 0, (15016, 15011, 9912));
    let begun = Instant::now();
    let answer = get("10.99.0.4:8080", "elsewhere.example", "/echo");
    assert!(answer.status != 200 && begun.elapsed() < Duration::from_secs(5), "{answer:?}");
    let metrics = Client::to("127.0.0.1:9912".parse().unwrap())
        .send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(metrics.body.contains("outcome=\"loop\"} 1"), "{}", metrics.body);
    // The services are woken up to end: directly.
    run("iptables -t nat -F OUTPUT && ip6tables -t nat -F OUTPUT");
    drop((web, web6, elsewhere, app));
}
