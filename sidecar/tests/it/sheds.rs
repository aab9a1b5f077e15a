//! More work than can be done: what a bulkhead, a breaker and an adaptive limit keep away from whom, and what they tell those
//! they turn away. And failures that are made on purpose.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::actor::{Actor, Does, Told, actor, crowd, percentile};
use crate::heard::{heard, listen};
use crate::world::{Answer, Client, World, eventually, world};

const MS: fn(u64) -> Duration = Duration::from_millis;
const LOCAL: [u8; 4] = [127, 0, 0, 1];

fn calling(targets: &str, calls: &str) -> World {
    world(&format!(
        "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:1\" }}\ntargets: {{ {targets} }}\ncalls: {{ {calls} }}\n"
    ))
}

fn get(path: &str) -> String {
    format!("GET /{path} HTTP/1.1\r\nHost: web\r\n\r\n")
}

fn well() -> Actor {
    actor(LOCAL, |_| Does::Answers(200, String::new()))
}

/// Requests wait here until they are let through.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn wait(&self) {
        drop(self.changed.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

#[test]
fn a_target_that_hangs_fills_its_own_bulkhead_and_nobody_else_feels_it() {
    let (quick, hung) = (well(), actor(LOCAL, |_| Does::Nothing));
    let world = calling(
        &format!(
            "quick: {{ url: {} }}, hung: {{ url: {}, bulkhead: {{ max: 4, queue: 4, wait: 200ms }}, timeouts: {{ answer: 1s }} }}",
            quick.url(),
            hung.url()
        ),
        "quick: { listen: 127.0.0.1:0 }, hung: { listen: 127.0.0.1:0 }",
    );
    let others = crowd(world.sidecar().reaches("quick").unwrap(), 4, MS(2), |_| get("echo"));
    others.more(600);
    let begun = Instant::now();
    let stuck = crowd(world.sidecar().reaches("hung").unwrap(), 24, MS(20), |_| get("echo"));
    eventually("the bulkhead is full", || stuck.answers() > 200);
    let filled = Instant::now();
    others.more(600);
    let (others, stuck) = (others.end(), stuck.end());
    let before = percentile(others.iter().filter(|told| told.began + told.took < begun), 99);
    let during = percentile(others.iter().filter(|told| told.began > filled), 99);
    let slugs = |slug: &str| stuck.iter().filter(|told| told.answer.slug() == slug).count();
    let (full, late) = (slugs("bulkhead-full"), slugs("bulkhead-timeout"));
    println!(
        "the others' p99 {before:?}, then {during:?}; of {} calls to the hung one {full} found it full, {late} waited in vain, {} timed out",
        stuck.len(),
        slugs("upstream-timeout")
    );
    assert!(others.iter().all(|told| told.is(200)));
    assert!(during < before * 5 + MS(50), "{before:?} {during:?}");
    assert!(full > 0 && late > 0 && full + late + slugs("upstream-timeout") == stuck.len());
    let turned_away = |told: &&Told| told.answer.slug() == "bulkhead-full";
    assert!(percentile(stuck.iter().filter(turned_away), 50) < MS(50));
}

#[test]
fn a_breaker_opens_by_rate_probes_and_closes_and_says_why() {
    listen();
    let (is_ill, gate) = (Arc::<AtomicBool>::default(), Arc::<Gate>::default());
    let (ill, probing) = (is_ill.clone(), gate.clone());
    let web = actor(LOCAL, move |asked| {
        if asked.path() == "probe" {
            probing.wait();
        }
        Does::Answers(if ill.load(Ordering::SeqCst) { 500 } else { 200 }, String::new())
    });
    let world = calling(
        &format!(
            "fuse: {{ url: {}, breaker: {{ open_at: 50% of 20 in 10s, stay_open: 1s, probes: 3 }} }}",
            web.url()
        ),
        "fuse: { listen: 127.0.0.1:0 }",
    );
    let says = |words: &str| heard("breaker of fuse").iter().any(|(_, line)| line.contains(words));
    let is_open = |answer: &Answer| answer.slug() == "breaker-open";
    let mut client = world.to("fuse");
    let mut ask = || client.send(&get("echo"));
    for _ in 0..10 {
        assert_eq!(ask().status, 200);
    }
    is_ill.store(true, Ordering::SeqCst);
    for failure in 1..=10 {
        assert_eq!((ask().status, heard("breaker of fuse").len()), (500, failure / 10), "{failure}");
    }
    assert!(says("opened: 10 of 20 calls failed (50 %) within 10 s; limit 50 %; stays open 1 s"));
    let refused = ask();
    assert!(
        refused.status == 503 && is_open(&refused) && refused.header("retry-after") == "1",
        "{refused:?}"
    );
    assert_eq!(web.asked(), 20, "nothing is sent");
    // It tries again when its time is over, and gives up at the first failure.
    eventually("a probe goes out", || ask().status == 500);
    assert!(says("opened again: a probe failed; stays open 1 s"));
    assert!(is_open(&ask()));
    assert_eq!(web.asked(), 21);
    // So many probes, and no more, until they have come back well.
    is_ill.store(false, Ordering::SeqCst);
    let refusals = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = world.to("fuse");
                let mut answer = client.send(&get("probe"));
                while answer.status != 200 {
                    assert!(is_open(&answer), "{answer:?}");
                    if web.asked() == 24 {
                        refusals.fetch_add(1, Ordering::SeqCst);
                    }
                    std::thread::sleep(MS(10));
                    answer = client.send(&get("probe"));
                }
            });
        }
        eventually("others are refused while the probes are out", || refusals.load(Ordering::SeqCst) > 20);
        assert_eq!((web.asked(), says("closed")), (24, false));
        gate.open();
        eventually("it closes", || says("closed: 3 of 3 probes passed"));
    });
    assert_eq!(ask().status, 200);
    println!("{:?}", heard("breaker of fuse").iter().map(|(_, line)| line).collect::<Vec<_>>());
}

const PRIORITIES: &str = "routes: [{ name: batch, path: /batch, priority: sheddable }, { name: browse, path: /browse, priority: normal }, { name: pay, path: /pay, priority: critical }]";

#[test]
fn the_last_places_are_for_the_most_important() {
    let gate = Arc::<Gate>::default();
    let held = gate.clone();
    let web = actor(LOCAL, move |_| {
        held.wait();
        Does::Answers(200, String::new())
    });
    let world = calling(
        &format!("tight: {{ url: {}, overload: {{ min: 10, start: 10, max: 10 }} }}", web.url()),
        &format!("tight: {{ listen: 127.0.0.1:0, {PRIORITIES} }}"),
    );
    let mut inside: Vec<Client> = Vec::new();
    // Of ten places the least important may have six, the others eight, and the most important all.
    for (path, places, comes_back) in [("batch", 6, "4"), ("browse", 8, "2"), ("pay", 10, "1")] {
        while inside.len() < places {
            let mut client = world.to("tight");
            client.write(get(path));
            inside.push(client);
            eventually("it is inside", || web.asked() == inside.len());
        }
        let shed = world.call("tight", &format!("/{path}"));
        assert_eq!((shed.status, shed.slug().as_str()), (503, "overloaded"), "{path}: {shed:?}");
        assert_eq!(shed.header("retry-after"), comes_back, "{path}: {shed:?}");
    }
    gate.open();
    for client in &mut inside {
        assert_eq!(client.read(true).status, 200);
    }
    assert_eq!(world.call("tight", "/batch").status, 200);
}

#[test]
fn what_is_shed_gets_what_the_fallback_gives() {
    let gate = Arc::<Gate>::default();
    let held = gate.clone();
    let web = actor(LOCAL, move |_| {
        held.wait();
        Does::Answers(200, String::new())
    });
    let spare = well();
    let world = calling(
        &format!(
            "tight: {{ url: {}, overload: {{ min: 1, start: 1, max: 1 }} }}, spare: {{ url: {} }}",
            web.url(),
            spare.url()
        ),
        "tight: { listen: 127.0.0.1:0, routes: [
  { name: fixed, path: /fixed, fallback: { when: overload, answer: { status: 203, body: kept } } },
  { name: other, path: /other, fallback: { when: overload, to: spare } },
  { name: bare, path: /bare } ] }",
    );
    let mut inside = world.to("tight");
    inside.write(get("bare"));
    eventually("it is inside", || web.asked() == 1);
    let fixed = world.call("tight", "/fixed");
    assert_eq!((fixed.status, fixed.body.as_str()), (203, "kept"), "{fixed:?}");
    assert_eq!(world.call("tight", "/other").status, 200);
    assert_eq!(world.call("tight", "/bare").slug(), "overloaded");
    assert_eq!((web.asked(), spare.asked()), (1, 1));
    gate.open();
    assert_eq!(inside.read(true).status, 200);
}

#[test]
fn under_pressure_the_least_important_go_first_and_the_most_important_stay() {
    // A service for four at once: more of them wait in its queue, and it gets slow.
    let free = Arc::new((Mutex::new(4), Condvar::new()));
    let web = actor(LOCAL, move |_| {
        let (places, changed) = &*free;
        *changed.wait_while(places.lock().unwrap(), |places| *places == 0).unwrap() -= 1;
        std::thread::sleep(MS(20));
        *places.lock().unwrap() += 1;
        changed.notify_one();
        Does::Answers(200, String::new())
    });
    let world = calling(
        &format!("busy: {{ url: {}, overload: {{ min: 4, start: 8, max: 100 }} }}", web.url()),
        &format!("busy: {{ listen: 127.0.0.1:0, {PRIORITIES} }}"),
    );
    let at = world.sidecar().reaches("busy").unwrap();
    let calm = crowd(at, 1, MS(10), |_| get("pay"));
    calm.more(40);
    calm.end();
    let crowds = [("batch", 12), ("browse", 3), ("pay", 2)]
        .map(|(path, callers)| (path, crowd(at, callers, MS(5), move |_| get(path))));
    std::thread::sleep(MS(3_000));
    let [batch, browse, pay] = crowds.map(|(path, crowd)| {
        let told = crowd.end();
        let shed: Vec<_> = told.iter().filter(|told| told.answer.slug() == "overloaded").collect();
        assert!(shed.iter().all(|told| !told.answer.header("retry-after").is_empty()));
        assert!(told.iter().all(|told| told.is(200) || told.answer.slug() == "overloaded"));
        let share = shed.len() as f64 / told.len() as f64;
        let served = percentile(told.iter().filter(|told| told.is(200)), 50);
        println!("{path}: {} requests, {:.1} % shed, served within {served:?}", told.len(), share * 100.0);
        share
    });
    assert!(batch > 0.2 && batch > browse && browse >= pay && pay < 0.05, "{batch} {browse} {pay}");
}

#[test]
fn failures_made_on_purpose_happen_to_their_share() {
    let web = well();
    let world = calling(
        &format!("late: {{ url: {0} }}, none: {{ url: {0} }}, both: {{ url: {0} }}", web.url()),
        "late: { listen: 127.0.0.1:0, fault: { share: 25%, delay: 100ms } }, \
         none: { listen: 127.0.0.1:0, fault: { share: 25%, abort: 418 } }, \
         both: { listen: 127.0.0.1:0, fault: { share: 100%, delay: 100ms, abort: 503 } }",
    );
    const REQUESTS: usize = 400;
    let told = |target: &str| {
        let crowd = crowd(world.sidecar().reaches(target).unwrap(), 8, MS(0), |_| get("echo"));
        eventually("they are answered", || crowd.answers() >= REQUESTS);
        crowd.end()
    };
    let share = |hit: usize, of: usize| hit as f64 / of as f64;
    let late = told("late");
    let delayed = share(late.iter().filter(|told| told.took >= MS(100)).count(), late.len());
    assert!(late.iter().all(|told| told.is(200)));
    let before = web.asked();
    let none = told("none");
    let aborted: Vec<_> = none.iter().filter(|told| told.is(418)).collect();
    assert!(aborted.iter().all(|told| told.answer.slug() == "injected-abort"));
    assert_eq!(web.asked() - before + aborted.len(), none.len(), "what is aborted is not sent");
    let aborted = share(aborted.len(), none.len());
    println!("of a quarter {:.1} % were delayed, {:.1} % aborted", delayed * 100.0, aborted * 100.0);
    assert!((0.15..0.40).contains(&delayed) && (0.15..0.35).contains(&aborted));
    let begun = Instant::now();
    assert_eq!(world.call("both", "/echo").status, 503);
    assert!(begun.elapsed() >= MS(100), "first it waits, then it fails");
}
