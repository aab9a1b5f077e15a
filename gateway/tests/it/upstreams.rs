//! Where targets are and whether they are well: names, probes, ejection.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::world::{aside, eventually, service, service_at, world, world_with};

/// A DNS server of a few lines: answers every A question with these addresses, or with this error code.
struct Dns {
    at: SocketAddr,
    says: Arc<Mutex<Result<Vec<Ipv4Addr>, u8>>>,
    asked: Arc<std::sync::atomic::AtomicUsize>,
}

fn dns(says: Result<Vec<Ipv4Addr>, u8>) -> Dns {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns =
        Dns { at: socket.local_addr().unwrap(), says: Arc::new(Mutex::new(says)), asked: Arc::default() };
    let (says, asked) = (dns.says.clone(), dns.asked.clone());
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let question_end = 12 + bytes[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = bytes[question_end - 3] == 1;
            let (code, addresses) = match &*says.lock().unwrap() {
                Ok(addresses) if is_a => (0, addresses.clone()),
                Ok(_) => (0, Vec::new()),
                Err(code) => (*code, Vec::new()),
            };
            let mut answer = bytes[..2].to_vec();
            answer.extend([0x81, 0x80 | code, 0, 1]);
            answer.extend((addresses.len() as u16).to_be_bytes());
            answer.extend([0; 4]);
            answer.extend(&bytes[12..question_end]);
            for address in addresses {
                // A pointer to the question's name, A, IN, one second, four bytes.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend(address.octets());
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    dns
}

#[test]
fn names_are_looked_up_and_the_last_good_addresses_kept() {
    let one = service("one");
    let two = service_at("two", (Ipv4Addr::new(127, 0, 0, 2), one.at.port()).into());
    let dns = dns(Ok(vec![Ipv4Addr::new(127, 0, 0, 1)]));
    let world = world_with(
        &format!(
            "version: 1\ntargets: {{ web: {{ dns: {{ name: web.test, port: {}, every: 1s }} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
            one.at.port()
        ),
        |settings| settings.house.resolvers = vec![dns.at],
    );
    eventually("the name is known", || world.get("/echo").header("x-from") == "one");
    *dns.says.lock().unwrap() = Ok(vec![Ipv4Addr::new(127, 0, 0, 2)]);
    eventually("the address has changed", || world.get("/echo").header("x-from") == "two");
    // NXDOMAIN, SERVFAIL, and nothing at all.
    for bad in [Err(3), Err(2), Ok(vec![])] {
        *dns.says.lock().unwrap() = bad;
        let before = dns.asked.load(std::sync::atomic::Ordering::SeqCst);
        eventually("it was asked again", || dns.asked.load(std::sync::atomic::Ordering::SeqCst) > before + 1);
        assert_eq!(world.get("/echo").header("x-from"), "two", "the last good address stays");
    }
    drop(two);
}

#[test]
fn a_name_nobody_knows_is_no_endpoint() {
    let dns = dns(Err(3));
    let world = world_with(
        "version: 1\ntargets: { web: { url: http://web.test:80 } }\nroutes: [{ name: all, path: /**, to: web }]\n",
        |settings| settings.house.resolvers = vec![dns.at],
    );
    let answer = world.get("/");
    assert_eq!((answer.status, answer.slug().as_str()), (503, "no-endpoint"));
}

#[test]
fn an_endpoint_that_fails_its_probes_gets_no_requests_until_it_passes_again() {
    let (good, bad) = (service("good"), aside("bad"));
    let (good_at, bad_at) = (good.at, bad.at);
    let world = world(&format!(
        "version: 1\ntargets:\n  web:\n    endpoints: [http://{good_at}, http://{bad_at}]\n    balance: round-robin\n    \
         health: {{ path: /status/200, every: 50ms, fail_after: 2, pass_after: 1 }}\nroutes: [{{ name: all, path: /**, to: web }}]\n"
    ));
    eventually("both answer", || world.get("/echo").header("x-from") == "bad");
    drop(bad);
    let admin = world.gateway.as_ref().unwrap().admin();
    eventually("its probes fail", || {
        let page = crate::world::Client::to(admin).send("GET /targets HTTP/1.1\r\nHost: localhost\r\n\r\n");
        page.body.contains("\"well\": false")
    });
    eventually("the dead one is left out", || (0..6).all(|_| world.get("/echo").header("x-from") == "good"));
    let _again = service_at("back", bad_at);
    eventually("it is back", || world.get("/echo").header("x-from") == "back");
}

#[test]
fn an_endpoint_that_keeps_failing_is_ejected_and_reads_are_retried_elsewhere() {
    let (good, gone) = (service("good"), aside("gone"));
    let (good_at, gone_at) = (good.at, gone.at);
    drop(gone);
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ endpoints: [http://{good_at}, http://{gone_at}], balance: round-robin, outlier: {{ failures: 2 }} }} }}\n\
         routes: [{{ name: all, path: /**, to: web, retry: {{ attempts: 2, budget: 100% }} }}]\n"
    ));
    for _ in 0..20 {
        assert_eq!(world.get("/echo").header("x-from"), "good");
    }
    let admin = world.gateway.as_ref().unwrap().admin();
    let page = crate::world::Client::to(admin).send("GET /targets HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.body.contains("\"ejected\": true"), "{}", page.body);
}
