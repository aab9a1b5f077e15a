//! Retries at every hop of a long chain: what they add to the load of the last one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::actor::{Actor, Does, actor};
use crate::world::{Client, World, world};

const TRIES: usize = 3;
const RETRY: &str = "retry: { attempts: 3, on: [connect, 503], budget: 20% }";

/// A service that asks the next one, so often, and carries nothing on but the trace.
fn tier(next: Arc<OnceLock<SocketAddr>>, tries: usize) -> Actor {
    actor([127, 0, 0, 1], move |asked| {
        let ask = ask(asked.field("traceparent"));
        Does::Answers(try_often(*next.get().unwrap(), &ask, tries), String::new())
    })
}

fn ask(trace: &str) -> String {
    let trace = if trace.is_empty() { String::new() } else { format!("traceparent: {trace}\r\n") };
    format!("GET / HTTP/1.1\r\nHost: next\r\n{trace}\r\n")
}

fn try_often(next: SocketAddr, ask: &str, tries: usize) -> u16 {
    let mut answers = (0..tries).map(|_| Client::to(next).send(ask).status);
    answers.find(|status| *status < 500).unwrap_or(503)
}

fn failing() -> Actor {
    actor([127, 0, 0, 1], |_| Does::Answers(503, String::new()))
}

/// A sidecar beside an app, which calls whoever is reached there.
fn beside(app: &str, next: Option<SocketAddr>) -> World {
    let calls = next.map_or_else(String::new, |next| {
        format!(
            "targets: {{ next: {{ url: \"http://{next}\" }} }}\ncalls: {{ next: {{ listen: 127.0.0.1:0, {RETRY} }} }}\n"
        )
    });
    world(&format!(
        "version: 1\ntrust: {{ networks: [127.0.0.0/8] }}\nservice: {{ name: app, url: \"{app}\" }}\ninbound: {{ mtls: permissive }}\n{calls}"
    ))
}

#[test]
fn retries_at_four_hops_add_a_fifth_to_the_last_and_do_not_multiply() {
    // What there is without us: everybody who calls tries three times.
    let leaf = failing();
    let mut next = leaf.at;
    let mut tiers = Vec::new();
    for _ in 0..3 {
        let tier = tier(Arc::new(next.into()), TRIES);
        next = tier.at;
        tiers.push(tier);
    }
    const FEW: usize = 2;
    for _ in 0..FEW {
        assert_eq!(try_often(next, &ask(""), TRIES), 503);
    }
    let naive = leaf.asked() / FEW;
    assert_eq!(leaf.asked(), FEW * TRIES.pow(4));

    // The same services, who try once, each with a sidecar that may try three times.
    let leaf = failing();
    let mut worlds = vec![beside(&leaf.url(), None)];
    let mut tiers = vec![leaf];
    for _ in 0..3 {
        let reaches = Arc::<OnceLock<SocketAddr>>::default();
        let tier = tier(reaches.clone(), 1);
        let world = beside(&tier.url(), Some(worlds.last().unwrap().inbound));
        reaches.set(world.sidecar().reaches("next").unwrap()).unwrap();
        worlds.push(world);
        tiers.push(tier);
    }
    let web = beside("http://127.0.0.1:1", Some(worlds.last().unwrap().inbound));
    let begun = Instant::now();
    const REQUESTS: usize = 300;
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = web.to("next");
                while sent.fetch_add(1, Ordering::SeqCst) < REQUESTS {
                    assert_eq!(client.send(&ask("")).status, 503);
                }
            });
        }
    });
    let took = begun.elapsed();
    // Beside its share a budget lets ten pass at once, and one a second.
    let allowance = 10 + took.max(Duration::from_secs(1)).as_secs() as usize + 1;
    let reached: Vec<_> = tiers.iter().rev().map(Actor::asked).collect();
    println!(
        "{REQUESTS} requests in {took:?}: a, b, c and leaf were asked {reached:?} times ({:.2}x at the leaf); without budgets {naive}x",
        reached[3] as f64 / REQUESTS as f64
    );
    for asked in &reached {
        assert!((REQUESTS..=REQUESTS * 12 / 10 + allowance).contains(asked), "{reached:?}");
    }
    assert!(reached[3] > REQUESTS, "somebody does try again: {reached:?}");
}
