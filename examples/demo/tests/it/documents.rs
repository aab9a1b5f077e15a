//! The policies are good, agree with the map, and say what their comments say. The proxies themselves are asked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use demo::policies::originals;
use demo::shop::{SERVICES, Service, spiffe};

use crate::own;

/// The folder of the programs, with both proxies built.
static BIN: LazyLock<PathBuf> = LazyLock::new(|| {
    let bin = own().parent().unwrap().to_owned();
    // A test of the whole workspace has built them; to build them by themselves would be another build of half of it.
    if ["banyan-gateway", "banyan-sidecar"].iter().all(|proxy| bin.join(proxy).exists()) {
        return bin;
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "-p", "banyan-gateway", "-p", "banyan-sidecar"]);
    if bin.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    bin
});

/// What a proxy says; the first part is whether it is content.
fn ask(proxy: &str, arguments: &[&str], document: &Path) -> (bool, String) {
    let output = Command::new(BIN.join(proxy)).args(arguments).arg(document).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn documents(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(originals().join(folder)).unwrap();
    let mut all: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() >= 6, "{all:?}");
    all
}

#[test]
fn every_document_is_good() {
    for (folder, proxy) in [("gateway", "banyan-gateway"), ("sidecars", "banyan-sidecar")] {
        for document in documents(folder) {
            let (good, words) = ask(proxy, &["check"], &document);
            assert!(good, "{}: {words}", document.display());
        }
    }
}

#[test]
fn every_sidecar_has_the_addresses_of_the_map_and_no_others() {
    assert_eq!(documents("sidecars").len(), SERVICES.len());
    for service in &SERVICES {
        let text = std::fs::read_to_string(sidecar_of(service)).unwrap();
        let mut wanted = vec![service.app()];
        for other in service.others() {
            wanted.extend([other.inbound(), service.reaches(other)]);
            assert!(
                text.contains(&format!("spiffe: {} }}", other.spiffe())),
                "{} -> {}",
                service.name,
                other.name
            );
        }
        assert_eq!(ports_in(&text), sorted(wanted), "{}", service.name);
    }
}

#[test]
fn the_gateway_has_the_addresses_of_the_map_and_checks_who_answers() {
    for document in documents("gateway") {
        let text = std::fs::read_to_string(&document).unwrap();
        let mut wanted = vec![demo::shop::LEGACY];
        for service in &SERVICES {
            let target = format!(
                "  {0}:\n    url: https://127.0.0.1:{1}\n    tls: {{ name: {0}, ca: certs/ca.pem, certificate: certs/gateway.crt, key: certs/gateway.key }}\n",
                service.name,
                service.inbound()
            );
            if text.contains(&target) {
                wanted.push(service.inbound());
            }
        }
        assert_eq!(ports_in(&text), sorted(wanted), "{}", document.display());
    }
}

fn sidecar_of(service: &Service) -> PathBuf {
    originals().join("sidecars").join(format!("{}.yaml", service.name))
}

/// All ports of loopback in a text, each once.
fn ports_in(text: &str) -> Vec<u16> {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    sorted(text.split("127.0.0.1:").skip(1).map(|rest| digits(rest).parse().unwrap()).collect())
}

fn sorted(mut ports: Vec<u16>) -> Vec<u16> {
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// One request at a sidecar's inbound door: what becomes of it.
fn becomes(service: &str, method: &str, path: &str, peer: Option<&str>) -> String {
    let url = format!("http://{service}{path}");
    let id = peer.map(spiffe);
    let mut arguments = vec!["explain", method, &url, "--door", "inbound"];
    if let Some(id) = &id {
        arguments.extend(["--peer", id]);
    }
    arguments.push("--policies");
    let document = originals().join("sidecars").join(format!("{service}.yaml"));
    let (_, words) = ask("banyan-sidecar", &arguments, &document);
    let verdict = words.lines().find(|line| line.starts_with("goes to ") || line.starts_with("refused: "));
    match verdict.unwrap_or_else(|| panic!("{words}")).strip_prefix("refused: ") {
        Some(refusal) => refusal.split_whitespace().nth(2).unwrap().to_owned(),
        None => "passes".to_owned(),
    }
}

#[test]
fn sidecars_let_in_whom_their_comments_name() {
    let rows: &[(&str, &str, &str, Option<&str>, &str)] = &[
        ("user", "GET", "/jwks.json", None, "passes"),
        ("user", "GET", "/api/users/me", None, "peer-unknown"),
        ("user", "POST", "/api/users/login", None, "peer-unknown"),
        ("user", "POST", "/api/users/login", Some("gateway"), "passes"),
        ("user", "GET", "/api/users/7", Some("order"), "passes"),
        ("user", "GET", "/api/users/7", Some("review"), "peer-denied"),
        ("inventory", "GET", "/api/inventory/7", Some("gateway"), "passes"),
        ("inventory", "POST", "/api/inventory/reservations", Some("gateway"), "peer-denied"),
        ("inventory", "POST", "/api/inventory/reservations/7/confirm", Some("gateway"), "peer-denied"),
        ("inventory", "POST", "/api/inventory/reservations", Some("order"), "passes"),
        ("payment", "POST", "/api/payments", Some("gateway"), "peer-denied"),
        ("payment", "POST", "/api/payments", Some("order"), "passes"),
        ("payment", "POST", "/api/payments/void", Some("gateway"), "peer-denied"),
        ("payment", "PUT", "/simulator", Some("order"), "peer-denied"),
        ("payment", "POST", "/api/payments/7/refund", Some("gateway"), "passes"),
        ("notification", "POST", "/events", Some("gateway"), "peer-denied"),
        ("notification", "POST", "/events", Some("shipping"), "passes"),
        ("analytics", "POST", "/events", Some("gateway"), "peer-denied"),
        ("analytics", "GET", "/api/analytics/sales", Some("gateway"), "passes"),
        ("order", "POST", "/dead-letters/7/replay", Some("gateway"), "peer-denied"),
        ("order", "PUT", "/promotion", Some("gateway"), "peer-denied"),
        ("user", "POST", "/keys/rotate", Some("gateway"), "peer-denied"),
        ("order", "POST", "/api/orders", None, "peer-unknown"),
    ];
    for (service, method, path, peer, wanted) in rows {
        assert_eq!(
            becomes(service, method, path, *peer),
            *wanted,
            "{method} {path} at {service} by {peer:?}"
        );
    }
}

#[test]
fn every_service_lets_in_whoever_tells_it_something() {
    for teller in &SERVICES {
        for told in teller.tells {
            assert_eq!(
                becomes(told, "POST", "/events", Some(teller.name)),
                "passes",
                "{} -> {told}",
                teller.name
            );
        }
    }
}
