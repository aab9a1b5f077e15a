//! Gateways round a real redis-server: what they let in together, and what they do when it is slow, dead or forgetful.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::admit::{Ask, Verdict, admit};
use policies::document::{Document, Source};
use policies::guard::{self, Wire};
use policies::headers::{Carried, Trusted};
use policies::identity::Asked;
use policies::limit::{Quota, grant};
use policies::plan::{Materials, Plan};
use policies::request::{Incoming, Peer, Secure};
use policies::state::{Living, Room, SharedRoom};
use policies::time::Tick;
use policies::why::Silent;
use tokio::runtime::Runtime;

use self::server::{Server, eventually};
use super::*;
use crate::clock;

mod server;

/// A gateway's decisions and its way to the store. The thread of the test is its worker.
struct Gateway {
    house: Runtime,
    plan: Plan,
    store: Arc<Store>,
}

impl Gateway {
    fn new(url: Option<&str>, limit: &str) -> Self {
        let house =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = url.map(|_| SharedRoom::default());
        let living = Arc::new(Living::new(&Room {
            shared,
            ..Room::seeded(std::array::from_fn(|_| fastrand::u64(..)))
        }));
        let text = format!(
            "version: 1
targets: {{ shop: {{ url: http://shop }} }}
routes: [{{ name: all, to: shop, limit: {limit} }}]
"
        );
        let document = Document::load(&[Source::new("shop.yaml", text)]).unwrap();
        let plan = Plan::compile(&document, &Materials::default(), &living, 1).unwrap();
        let store = Store::start(url, living, house.handle()).unwrap();
        store.warn_of_unmet(&plan);
        Self { house, plan, store }
    }

    fn at(server: &Server, limit: &str) -> Self {
        let gateway = Self::new(Some(&server.url()), limit);
        gateway.house.block_on(gateway.store.settled(Duration::from_secs(20)));
        assert_eq!(gateway.store.status().reach, Reach::Answers);
        gateway
    }

    /// Decides about a request of this client, and leaves its questions; empty if it may pass.
    fn decide(&self, client: u32) -> &'static str {
        let client = IpAddr::from(client.to_be_bytes());
        let request = http::Request::get("/").header("host", "shop.example").body(()).unwrap();
        let (head, ()) = request.into_parts();
        let peer = Peer { address: client, secure: Secure::Plain, identity: None };
        let incoming = Incoming { head: &head, target: b"/", peer: &peer };
        let clean = guard::inspect(&incoming, Wire::default(), &self.plan.guard, &mut Silent).unwrap();
        let carried = Carried::read(&head.headers, Trusted::No, 7);
        let ask = Ask {
            incoming: &incoming,
            clean: &clean,
            carried: &carried,
            client,
            now: clock::now(),
            roll: 1,
            asked: Asked::NotYet,
            last: None,
        };
        let mut verdict = admit(&self.plan, &self.plan.edge, &ask, &mut Silent);
        self.store.ask(verdict.take_asks());
        match verdict {
            Verdict::Permit(_) => "",
            Verdict::Refuse(refusal) => refusal.because.slug(),
            other => panic!("{other:?}"),
        }
    }

    /// Has every question been answered, or failed?
    fn all_landed(&self) -> bool {
        let status = self.store.status();
        status.queued == 0 && status.asked == status.answered + status.failed
    }

    fn is_down(&self) -> bool {
        matches!(self.store.status().reach, Reach::Down(_))
    }

    /// Decides again and again until the condition holds; what was said, and the time of the slowest in a hundred.
    fn decide_until(
        &self,
        what: &str,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> (Vec<&'static str>, Duration) {
        let (mut said, mut times) = (Vec::new(), Vec::new());
        let mut client = 0;
        eventually(what, || {
            for _ in 0..20 {
                client += 1;
                let begin = Instant::now();
                said.push(self.decide(client % 50));
                times.push(begin.elapsed());
            }
            condition(self)
        });
        times.sort_unstable();
        (said, times[times.len() * 99 / 100])
    }
}

/// What a decision may take while the store is in trouble, with much to spare on a busy machine; a decision that waited
/// for the store would take [`redis::ANSWER_WITHIN`].
const DECIDED_WITHIN: Duration = Duration::from_millis(50);

/// How soon a store that is back must be used again.
const BACK_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn the_script_grants_what_the_policies_grant() {
    let server = Server::start();
    let mut talk = server.talk();
    let (clock, lifetime) = ("redis.call('TIME')", "+ 1000)");
    assert_eq!((redis::SCRIPT.matches(clock).count(), redis::SCRIPT.matches(lifetime).count()), (1, 1));
    // The time comes from the test, and keys outlive it.
    let script = redis::SCRIPT.replace(clock, "{ ARGV[4], ARGV[5] }").replace(lifetime, "+ 600000)");
    let mut random = fastrand::Rng::with_seed(23);
    for round in 0..120 {
        let burst = if random.bool() { random.u32(1..20) } else { random.u32(1..=u32::MAX) };
        let longest = (1_u64 << 53) / u64::from(burst);
        let interval =
            if random.bool() { random.u64(1..=longest) } else { random.u64(1..=longest.min(5_000_000)) };
        let quota = Quota { count: 1, per: Duration::from_nanos(interval), burst: Some(burst) };
        let gcra = quota.compile().unwrap();
        let (interval, fill) = (gcra.interval().as_nanos().to_string(), gcra.fill().as_nanos().to_string());
        let key = format!("bucket-{round}");
        let mut micros = 1_750_000_000_000_000_u64;
        let mut full_at = Tick::ZERO;
        for step in 0..25 {
            // Nothing passes, a few permits' time, or about a whole filling.
            let pause =
                [0, 3 * gcra.interval().as_micros(), gcra.fill().as_micros() * 5 / 4][random.usize(0..3)];
            micros += random.u64(0..=u64::try_from(pause).unwrap());
            let want = if random.bool() { random.u32(1..=burst) } else { random.u32(1..=burst.min(8)) };
            let now = Tick::from_nanos(micros * 1000);
            let law = grant(full_at, gcra, want, now);
            full_at = law.full_at;
            let (seconds, rest) = ((micros / 1_000_000).to_string(), (micros % 1_000_000).to_string());
            let said =
                talk.say(&["EVAL", &script, "1", &key, &interval, &fill, &want.to_string(), &seconds, &rest]);
            let expected = [
                "*2".to_owned(),
                format!(":{}", law.granted),
                format!(":{}", law.full_at.since(now).as_nanos()),
            ];
            assert_eq!(said, expected, "round {round}, step {step}: {quota:?}, {want} wanted");
        }
    }
}

#[test]
fn a_bucket_is_kept_until_it_is_full_and_a_clock_that_goes_back_only_empties_it() {
    let server = Server::start();
    let mut talk = server.talk();
    let script = redis::SCRIPT.replace("redis.call('TIME')", "{ ARGV[4], ARGV[5] }");
    let mut run = |seconds: &str, key: &str| {
        talk.say(&["EVAL", &script, "1", key, "1000000000", "10000000000", "4", seconds, "0"])
    };
    assert_eq!(run("1000000", "a"), ["*2", ":4", ":4000000000"]);
    assert_eq!(run("999000", "a"), ["*2", ":0", ":10000000000"], "not more than a whole filling to wait");
    assert_eq!(run("999004", "a"), ["*2", ":4", ":10000000000"]);
    assert_eq!(talk.say(&["SET", "b", "rubbish"]), ["+OK"]);
    let mut run = |seconds: &str, key: &str| {
        talk.say(&["EVAL", &script, "1", key, "1000000000", "10000000000", "4", seconds, "0"])
    };
    assert_eq!(run("1000000", "b"), ["*2", ":4", ":4000000000"]);
    let left: i64 = talk.say(&["PTTL", "b"])[0][1..].parse().unwrap();
    assert!((4000..=5000).contains(&left), "{left} ms");
}

#[test]
fn two_gateways_together_keep_the_limit_and_the_stated_bound() {
    let server = Server::start();
    let gateways = [(); 2].map(|()| Gateway::at(&server, "{ per: address, rate: 200/s, burst: 80 }"));
    let begin = Instant::now();
    let mut admitted = 0;
    eventually("five hundred are admitted", || {
        for gateway in &gateways {
            for _ in 0..20 {
                admitted += usize::from(gateway.decide(7).is_empty());
            }
        }
        admitted >= 500
    });
    // Two replicas: a batch is an eighth of the burst, credit a half.
    let bound = 80.0 + 200.0 * begin.elapsed().as_secs_f64() + 2.0 * (10.0 + 40.0);
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let admitted = admitted as f64;
    assert!(admitted <= bound + 1.0, "{admitted} admitted, {bound} is the bound");
    for gateway in &gateways {
        let status = gateway.store.status();
        assert_eq!((status.failed, status.dropped), (0, 0));
        assert!(status.asked > 0 && status.latency > Duration::ZERO);
    }
    let keys = server.talk().say(&["KEYS", "*"]);
    let limits = keys.iter().filter(|key| key.starts_with("banyan:limit:") && !key.ends_with("probe"));
    assert_eq!(limits.count(), 1, "both name the caller alike: {keys:?}");
}

#[test]
fn a_caller_below_the_limit_is_never_refused_and_the_store_knows_of_every_request() {
    let server = Server::start();
    let gateway = Gateway::at(&server, "{ per: address, rate: 40/h, burst: 40 }");
    for n in 1..=40_u64 {
        // Each question is answered before the next request: a slow page, clicked by one person.
        assert_eq!(gateway.decide(7), "", "request {n}");
        let settled = || gateway.all_landed();
        eventually("the answer", settled);
    }
    assert_eq!(gateway.decide(7), "rate-limited");
    let other = Gateway::at(&server, "{ per: address, rate: 40/h, burst: 40 }");
    // A gateway that just came lends its credit once, is told, and says so from then on.
    eventually("the other gateway knows", || other.decide(7) == "rate-limited");
    eventually("it was told", || other.all_landed());
    assert_eq!(other.decide(7), "rate-limited");
}

#[test]
fn scripts_that_were_flushed_are_sent_again_and_nobody_notices() {
    let server = Server::start();
    let gateway = Gateway::at(&server, "{ per: address, rate: 1000/s }");
    for round in 1..=3_u64 {
        assert_eq!(server.talk().say(&["SCRIPT", "FLUSH"]), ["+OK"]);
        let before = gateway.store.status().asked;
        gateway.decide_until("it was asked", |gateway| gateway.store.status().asked > before + 20 * round);
    }
    eventually("all answers", || gateway.all_landed());
    let status = gateway.store.status();
    assert_eq!((status.reach, status.failed, status.dropped), (Reach::Answers, 0, 0));
}

#[test]
fn a_store_that_stops_dies_and_comes_back_delays_nobody_and_is_used_again() {
    let mut server = Server::start();
    let gateway = Gateway::at(&server, "{ per: address, rate: 1000000/s }");
    let up = |gateway: &Gateway| gateway.store.status().reach == Reach::Answers;
    let keeps_deciding = |(said, slow): (Vec<&str>, Duration)| {
        assert!(said.iter().all(|slug| slug.is_empty()), "its own share is plenty");
        assert!(slow < DECIDED_WITHIN, "one in a hundred decisions took {slow:?}");
    };
    for how in ["stopped", "killed", "stopped", "killed"] {
        match how {
            "stopped" => server.signal("-STOP"),
            _ => server.kill(),
        }
        keeps_deciding(gateway.decide_until(how, Gateway::is_down));
        match how {
            "stopped" => server.signal("-CONT"),
            _ => server.restart(),
        }
        let back = Instant::now();
        keeps_deciding(gateway.decide_until("it is back", up));
        assert!(back.elapsed() < BACK_WITHIN, "{how}: back after {:?}", back.elapsed());
        let before = gateway.store.status();
        keeps_deciding(gateway.decide_until("it is asked again", |gateway| {
            gateway.all_landed() && gateway.store.status().asked > before.asked + 20
        }));
        assert!(up(&gateway));
    }
}

#[test]
fn without_its_store_each_limit_does_what_it_says() {
    let mut server = Server::start();
    for (down, expected) in [
        ("closed", ["limit-store-down", "limit-store-down", "limit-store-down"]),
        ("local", ["", "", "rate-limited"]),
        ("open", ["", "", ""]),
    ] {
        let limit = format!("{{ per: address, rate: 4/h, if_store_down: {down} }}");
        let gateway = Gateway::at(&server, &limit);
        server.kill();
        gateway.decide_until(down, Gateway::is_down);
        assert_eq!([(); 3].map(|()| gateway.decide(1000)), expected, "{down}");
        server.restart();
        eventually("it is back", || gateway.store.status().reach == Reach::Answers);
        assert_eq!(gateway.decide(2000), "", "{down}");
    }
}

#[test]
fn a_store_that_was_restarted_without_being_asked_is_not_missed() {
    let mut server = Server::start();
    let gateway = Gateway::at(&server, "{ per: address, rate: 4/h, if_store_down: closed }");
    server.kill();
    eventually("the end of the connection is noticed", || gateway.decide(1) == "limit-store-down");
    server.restart();
    eventually("it is back", || gateway.store.status().reach == Reach::Answers);
    assert_eq!(gateway.decide(2), "");
}

#[test]
fn a_store_with_another_password_or_without_the_right_to_write_is_down_and_says_why() {
    let server = Server::start();
    let mut talk = server.talk();
    assert_eq!(talk.say(&["CONFIG", "SET", "requirepass", "right"]), ["+OK"]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port);
    let wrong =
        Gateway::new(Some(&url("wrong-secret")), "{ per: address, rate: 4/h, if_store_down: closed }");
    wrong.house.block_on(wrong.store.settled(Duration::from_secs(20)));
    match wrong.store.status().reach {
        Reach::Down(why) => assert!(why.contains("password") && !why.contains("wrong-secret"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(wrong.decide(1), "limit-store-down");
    let right = Gateway::new(Some(&url("right")), "{ per: address, rate: 100/s, if_store_down: closed }");
    eventually("the right password", || right.store.status().reach == Reach::Answers);
    assert_eq!(talk.say(&["AUTH", "right"]), ["+OK"]);
    assert_eq!(talk.say(&["REPLICAOF", "127.0.0.1", "1"]), ["+OK"]);
    right.decide_until("a replica takes no writes", Gateway::is_down);
    match right.store.status().reach {
        Reach::Down(why) => assert!(why.contains("READONLY"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(talk.say(&["REPLICAOF", "NO", "ONE"]), ["+OK"]);
    eventually("it may write again", || right.store.status().reach == Reach::Answers);
}

#[test]
fn an_address_that_cannot_be_read_is_refused_and_not_repeated() {
    let house = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let living = Arc::new(Living::new(&Room { shared: Some(SharedRoom::default()), ..Room::seeded([1; 4]) }));
    for url in ["", "redis", "redis://:hunter2@host:99999", "http://:hunter2@host"] {
        let error = Store::start(Some(url), living.clone(), house.handle()).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let bare = Arc::new(Living::new(&Room::seeded([1; 4])));
    assert!(matches!(Store::start(Some("redis://host"), bare, house.handle()), Err(StoreError::NoRoom)));
}

#[test]
fn without_a_store_nothing_is_asked_and_a_closed_limit_refuses() {
    let gateway = Gateway::new(None, "{ per: address, rate: 4/h, if_store_down: closed }");
    assert_eq!(gateway.decide(1), "limit-store-down");
    let gateway = Gateway::new(None, "{ per: address, rate: 2/h }");
    assert_eq!(
        [(); 3].map(|()| gateway.decide(1)),
        ["", "", "rate-limited"],
        "alone, it has the whole limit"
    );
    assert_eq!(gateway.store.status().reach, Reach::Absent);
}

#[test]
fn what_does_not_fit_in_the_queue_is_dropped_counted_and_asked_by_the_next_request() {
    let server = Server::start();
    let gateway = Gateway::at(&server, "{ per: address, rate: 100/s }");
    server.signal("-STOP");
    // One question a caller, and nobody takes them: the task has its hands full, then the queue.
    let mut client = 0;
    eventually("the queue is full", || {
        (0..1000).for_each(|_| {
            client += 1;
            gateway.decide(client);
        });
        gateway.store.status().dropped > 0
    });
    let dropped = gateway.store.status().dropped;
    assert_eq!(gateway.decide(client), "");
    // The task may just have taken one out of the queue: then this question had room.
    eventually("it asked again, in vain", || {
        client += 1;
        gateway.decide(client);
        gateway.store.status().dropped > dropped || gateway.is_down()
    });
    server.signal("-CONT");
    eventually("it is back", || gateway.store.status().reach == Reach::Answers);
}
