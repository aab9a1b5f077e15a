//! The short road and Pingora's proxy are one gateway: random requests, bodies and services, on both, and what arrives at
//! the service and what the client gets is the same. What may differ stands, with its reason, in [`differences`].
//!
//! A failure names its seed, and shrinks. `BANYAN_SEED` tells the same story again, `BANYAN_CASES` a longer one.

mod answers;
mod asks;
mod differences;
mod hostile;
mod message;
mod streams;
mod upstream;

use std::io::BufReader;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway::settings::DataPath;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use testkit::PATIENCE;

use self::answers::{Answer, answer};
use self::asks::{Ask, ask};
use self::message::{End, Fields, Head, body, head};
use self::upstream::{Arrived, CASE, Does, Then, Upstream, When, say};
use crate::world::{World, world_with};

/// What happens on one connection.
#[derive(Clone, Debug)]
struct Case {
    exchanges: Vec<Exchange>,
    /// All requests are sent before the first answer is read.
    together: bool,
    speaks: Speaks,
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Speaks {
    Http1,
    Http2,
}

/// One request and what is done about it: a service's answers to the first attempt and those that follow.
#[derive(Clone, Debug)]
struct Exchange {
    ask: Ask,
    answers: Vec<Answer>,
}

/// What came of an exchange.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Told {
    arrived: Vec<Arrived>,
    interims: Vec<Head>,
    head: Option<Head>,
    body: Vec<u8>,
    trailers: Fields,
    end: End,
}

/// What came of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Story {
    told: Vec<Told>,
    /// Was another request answered on it?
    kept: bool,
}

struct Road {
    world: World,
    upstream: Upstream,
}

impl Road {
    fn new(path: DataPath) -> Self {
        let upstream = Upstream::new();
        let document = format!(
            "version: 1
targets: {{ web: {{ url: http://{} }} }}
routes:
  - {{ name: all, path: /**, to: web }}
  - {{ name: again, path: /again/**, to: web, retry: {{ attempts: 3, backoff: 1ms, budget: 100% }} }}
  - {{ name: small, path: /small/**, to: web, body_limit: 16B }}
",
            upstream.at
        );
        Self { world: world_with(&document, |settings| settings.data_path = path), upstream }
    }

    fn tell(&self, case: &Case, number: usize) -> Story {
        let probe = format!("{number}-probe");
        let names: Vec<_> = (0..case.exchanges.len()).map(|index| format!("{number}-{index}")).collect();
        for (name, exchange) in names.iter().zip(&case.exchanges) {
            let does = exchange.answers.iter().map(|answer| answer.does(exchange.ask.method));
            self.upstream.play(name, does.collect());
        }
        let story = match case.speaks {
            Speaks::Http1 => self.tell_http1(case, &names, &probe),
            Speaks::Http2 => streams::tell(self, case, &names, &probe),
        };
        self.upstream.rest();
        story
    }

    fn tell_http1(&self, case: &Case, names: &[String], probe: &str) -> Story {
        let mut stream = connect(self);
        if case.together {
            for (name, exchange) in names.iter().zip(&case.exchanges) {
                send(stream.get_mut(), &exchange.ask, name);
            }
        }
        let mut told: Vec<Told> = Vec::new();
        for (name, exchange) in names.iter().zip(&case.exchanges) {
            if !case.together {
                send(stream.get_mut(), &exchange.ask, name);
            }
            let mut one = receive(&mut stream, exchange.ask.method);
            one.arrived = self.upstream.arrived(name);
            let over = one.end != End::Whole;
            told.push(one);
            if over {
                break;
            }
        }
        let whole = told.len() == case.exchanges.len() && told.iter().all(|one| one.end == End::Whole);
        let kept = whole && self.probe(&mut stream, probe);
        Story { told, kept }
    }

    fn play_probe(&self, name: &str) {
        let says = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
        let does = Does { when: When::AtItsEnd, says, cuts: Vec::new(), only: None, then: Then::Keep };
        self.upstream.play(name, vec![does]);
    }

    fn probe(&self, stream: &mut BufReader<TcpStream>, name: &str) -> bool {
        self.play_probe(name);
        let request = format!("GET /probe HTTP/1.1\r\nHost: shop.example\r\n{CASE}: {name}\r\n\r\n");
        let _ = say(stream.get_mut(), request.as_bytes(), &[]);
        let told = receive(stream, "GET");
        self.upstream.arrived(name);
        // Never what somebody else was to get.
        assert!(told.head.is_none() || told.body == b"ok", "another's answer: {told:?}");
        told.head.is_some()
    }
}

fn connect(road: &Road) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(road.world.at).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

fn send(stream: &mut TcpStream, ask: &Ask, name: &str) {
    let (mut bytes, body) = ask.bytes(name);
    bytes.extend_from_slice(&body);
    // Whoever has said no may have closed already.
    let _ = say(stream, &bytes, &ask.cuts);
    if ask.only.is_some() && !ask.is_whole() {
        let _ = stream.shutdown(Shutdown::Write);
    }
}

fn receive(stream: &mut BufReader<TcpStream>, method: &str) -> Told {
    let mut told = Told::default();
    loop {
        let head = match head(stream) {
            Ok(head) => head,
            Err(end) => return Told { end, ..told },
        };
        let status = head.line.split(' ').nth(1).unwrap_or_default().to_owned();
        if status.starts_with('1') {
            told.interims.push(head);
            continue;
        }
        if method != "HEAD" && status != "204" && status != "304" {
            (told.body, told.trailers, told.end) = body(stream, &head, true);
        } else {
            told.end = End::Whole;
        }
        told.head = Some(head);
        return told;
    }
}

fn case(speaks: Speaks) -> impl Strategy<Value = Case> {
    let exchange = (ask(), proptest::collection::vec(answer(), 1..3))
        .prop_map(|(ask, answers)| Exchange { ask, answers });
    let together = prop_oneof![4 => Just(false), 1 => Just(true)];
    (proptest::collection::vec(exchange, 1..4), together)
        .prop_map(move |(exchanges, together)| differences::tellable(Case { exchanges, together, speaks }))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Tells cases on both roads until one is told differently.
fn compare(speaks: Speaks, cases: u32) {
    let (pingora, short) = (Road::new(DataPath::Pingora), Road::new(DataPath::Short));
    let seed = setting("BANYAN_SEED").unwrap_or_else(|| fastrand::u64(..));
    let cases = setting("BANYAN_CASES").and_then(|cases| cases.try_into().ok()).unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, max_shrink_time: 60_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let number = AtomicUsize::new(0);
    let ran = runner.run(&case(speaks), |case| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let (by_pingora, on_the_road) = std::thread::scope(|scope| {
            let other = scope.spawn(|| pingora.tell(&case, number));
            let short = short.tell(&case, number);
            (other.join().unwrap(), short)
        });
        let found = differences::unjustified(&case, &by_pingora, &on_the_road);
        if found.is_empty() { Ok(()) } else { Err(TestCaseError::fail(found.join("\n"))) }
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!("BANYAN_SEED={seed}\n{reason}\n{case:#?}"),
        Err(error) => panic!("BANYAN_SEED={seed}\n{error}"),
    }
}

#[test]
fn both_roads_do_the_same_for_http1() {
    compare(Speaks::Http1, 1000);
}

#[test]
fn both_roads_do_the_same_for_http2() {
    compare(Speaks::Http2, 400);
}
