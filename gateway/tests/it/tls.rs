//! TLS towards clients and towards targets: which certificate, whose, and what is refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use gateway::settings::Settings;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use shell::listen::ListenAt;

use testkit::{Authority, Pair};

use crate::world::{World, eventually, file, service, world_with};

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

fn client(roots: RootCertStore, own: Option<&Pair>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    Arc::new(match own {
        Some(pair) => builder.with_client_auth_cert(vec![pair.der.clone()], pair.secret()).unwrap(),
        None => builder.with_no_client_auth(),
    })
}

fn connect(at: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<Tls> {
    let stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(crate::world::PATIENCE))?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), stream);
    tls.flush()?;
    Ok(tls)
}

/// A connection of HTTP/2, before anything is said on it.
pub fn h2(at: SocketAddr, name: &str, roots: RootCertStore) -> Tls {
    let mut config = (*client(roots, None)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    connect(at, name, &Arc::new(config)).unwrap()
}

/// One request on this connection; the whole answer as text.
fn ask(tls: &mut Tls, host: &str) -> std::io::Result<String> {
    write!(tls, "GET /echo HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    tls.flush()?;
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let read = tls.read(&mut bytes)?;
        answer.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return Ok(text);
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if read == 0 || body.len() >= length.unwrap_or(usize::MAX) {
            return Ok(text);
        }
    }
}

fn get(at: SocketAddr, host: &str, config: &Arc<ClientConfig>) -> std::io::Result<String> {
    ask(&mut connect(at, host, config)?, host)
}

fn answering(folder: &Path, change: impl FnOnce(&mut Settings)) -> World {
    let document = "version: 1\nroutes: [{ name: all, path: /**, answer: { status: 200, body: here } }]\n";
    world_with(document, |settings| {
        settings.listen.clear();
        settings.listen_tls = vec![ListenAt::Tcp(([127, 0, 0, 1], 0).into())];
        settings.certs = Some(folder.into());
        change(settings);
    })
}

#[test]
fn certificates_are_found_by_name_and_swapped_while_connections_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    old.pair(&["shop.example", "*.shop.example"]).put(folder.path(), "shop");
    old.pair(&["api.shop.example"]).put(folder.path(), "api");
    let world = answering(folder.path(), |_| {});
    let (trusts_old, trusts_new) = (client(old.roots(), None), client(new.roots(), None));
    for name in ["shop.example", "www.shop.example", "api.shop.example"] {
        assert!(get(world.at, name, &trusts_old).unwrap().ends_with("here"), "{name}");
    }
    assert!(get(world.at, "other.example", &trusts_old).is_err(), "an unknown name is refused");
    let mut going_on = connect(world.at, "shop.example", &trusts_old).unwrap();
    assert!(ask(&mut going_on, "shop.example").unwrap().ends_with("here"));
    // A pair that does not fit: everything stays as it is.
    file(folder.path(), "shop.key", &new.pair(&["x.example"]).key);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(get(world.at, "shop.example", &trusts_old).unwrap().ends_with("here"));
    new.pair(&["shop.example"]).put(folder.path(), "shop");
    eventually("the new certificate is shown", || get(world.at, "shop.example", &trusts_new).is_ok());
    assert!(ask(&mut going_on, "shop.example").unwrap().ends_with("here"), "the old connection goes on");
}

#[test]
fn a_host_can_demand_a_certificate_of_its_clients_and_no_other_way_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, clients) = (Authority::new(), Authority::new());
    server.pair(&["open.example"]).put(folder.path(), "open");
    server.pair(&["closed.example"]).put(folder.path(), "closed");
    file(folder.path(), "closed.client-ca.crt", clients.pem());
    let world = answering(folder.path(), |_| {});
    let nobody = client(server.roots(), None);
    let somebody = client(server.roots(), Some(&clients.pair(&["me.example"])));
    assert!(get(world.at, "open.example", &nobody).unwrap().ends_with("here"));
    assert!(get(world.at, "closed.example", &nobody).is_err());
    assert!(get(world.at, "closed.example", &somebody).unwrap().ends_with("here"));
    let forged = client(server.roots(), Some(&Authority::new().pair(&["me.example"])));
    assert!(get(world.at, "closed.example", &forged).is_err());
    let mut through_the_open_door = connect(world.at, "open.example", &nobody).unwrap();
    let answer = ask(&mut through_the_open_door, "closed.example").unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("misdirected"), "{answer}");
}

#[test]
fn a_client_that_comes_back_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.pair(&["shop.example"]).put(folder.path(), "shop");
    let world = answering(folder.path(), |_| {});
    let config = client(authority.roots(), None);
    let mut first = connect(world.at, "shop.example", &config).unwrap();
    ask(&mut first, "shop.example").unwrap();
    let mut second = connect(world.at, "shop.example", &config).unwrap();
    ask(&mut second, "shop.example").unwrap();
    assert_eq!(second.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

#[test]
fn a_directory_that_is_no_good_says_all_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.pair(&["a.example"]).put(folder.path(), "a");
    file(folder.path(), "a.key", authority.pair(&["b.example"]).key);
    file(folder.path(), "c.crt", "no certificate");
    authority.pair(&["d.example"]).put(folder.path(), "d");
    file(folder.path(), "d.client-ca.crt", "unreadable");
    let error = shell::listen::Certificates::load(folder.path()).unwrap_err().to_string();
    for named in ["a.key", "c.crt", "d.client-ca.crt"] {
        assert!(error.contains(named), "{named} in {error}");
    }
}

/// A service over TLS that answers one request on each connection.
fn secure_service(pair: &Pair, clients: Option<&Authority>) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.roots());
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = Arc::new(builder.with_single_cert(vec![pair.der.clone()], pair.secret()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                let mut bytes = [0; 4096];
                while let Ok(1..) = tls.read(&mut bytes) {
                    let name = tls.conn.server_name().unwrap_or("nobody").to_owned();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                    if tls.write_all(answer.as_bytes()).and_then(|()| tls.flush()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    at
}

#[test]
fn a_target_must_prove_its_name_to_the_authority_the_document_names() {
    let folder = tempfile::tempdir().unwrap();
    let (good, other, ours) = (Authority::new(), Authority::new(), Authority::new());
    let ca = file(folder.path(), "ca.pem", good.pem());
    let wrong = file(folder.path(), "wrong.pem", other.pem());
    let own = ours.pair(&["gateway.example"]);
    own.put(folder.path(), "own");
    let open = secure_service(&good.pair(&["orders.example"]), None);
    let closed = secure_service(&good.pair(&["orders.example"]), Some(&ours));
    let folder_text = folder.path().display();
    let (ca, wrong) = (ca.display(), wrong.display());
    let plain = service("plain");
    let world = world_with(
        &format!(
            "version: 1\ntargets:\n  \
             good: {{ url: https://{open}, tls: {{ name: orders.example, ca: {ca} }} }}\n  \
             name: {{ url: https://{open}, tls: {{ name: other.example, ca: {ca} }} }}\n  \
             ca: {{ url: https://{open}, tls: {{ name: orders.example, ca: {wrong} }} }}\n  \
             system: {{ url: https://{open}, tls: {{ name: orders.example }} }}\n  \
             shown: {{ url: https://{closed}, tls: {{ name: orders.example, ca: {ca}, certificate: {folder_text}/own.crt, key: {folder_text}/own.key }} }}\n  \
             bare: {{ url: https://{closed}, tls: {{ name: orders.example, ca: {ca} }} }}\n  \
             plain: {{ url: {} }}\nroutes:\n{}",
            plain.url(),
            ["good", "name", "ca", "system", "shown", "bare", "plain"]
                .map(|target| format!("  - {{ name: {target}, path: /{target}, to: {target} }}\n"))
                .concat()
        ),
        |_| {},
    );
    // The good one first: a pooled connection must not serve those who trust otherwise.
    for _ in 0..2 {
        for (target, expected) in [("good", "orders.example"), ("shown", "orders.example")] {
            assert_eq!(world.get(&format!("/{target}")).body, expected, "{target}");
        }
        for target in ["name", "ca", "system"] {
            let answer = world.get(&format!("/{target}"));
            assert_eq!((answer.status, answer.slug().as_str()), (502, "tls-failed"), "{target}: {answer:?}");
        }
    }
    assert_eq!(world.get("/bare").status, 502, "a target that demands a certificate gets none");
    assert_eq!(world.get("/plain").status, 200);
}

#[test]
fn an_authority_that_cannot_be_read_refuses_the_document() {
    let world = world_with(
        "version: 1\nroutes: [{ name: all, path: /**, answer: { status: 200, body: first } }]\n",
        |_| {},
    );
    world.rewrite(
        "version: 1\ntargets: { a: { url: https://a.example, tls: { ca: /nowhere/ca.pem } } }\nroutes: [{ name: all, path: /**, to: a }]\n",
    );
    let plans = world.gateway.as_ref().unwrap().plans().clone();
    eventually("it was judged", || plans.status().last_failure.is_some());
    let problems = plans.status().last_failure.unwrap().problems;
    assert!(problems.contains("targets/a: /nowhere/ca.pem: "), "{problems}");
    assert_eq!(world.get("/").body, "first");
    let ca = world.folder.path().join("ca.pem");
    world.rewrite(&format!(
        "version: 1\ntargets: {{ a: {{ url: https://a.example, tls: {{ ca: {} }} }} }}\n\
         routes: [{{ name: all, path: /**, answer: {{ status: 200, body: second }} }}]\n",
        ca.display()
    ));
    eventually("that was judged, too", || plans.status().failures == 2);
    file(world.folder.path(), "ca.pem", Authority::new().pem());
    eventually("the file is there now", || world.get("/").body == "second");
}
