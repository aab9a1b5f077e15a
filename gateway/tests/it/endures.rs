//! The outside fails while clients go on sending: an issuer, a collector, a Redis. What each of them may cost, and that
//! nobody waits for it.
//!
//! Nothing here is measured tightly: a story waits until something is so, and the bounds on time are far from what a request
//! takes that waits for nobody.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::collector::{CLIENT, SERVER, Span, collector};
use crate::keys::{asking, key, keys, with};
use crate::outside::{Told, load, outside, redis};
use crate::world::{eventually, service, world, world_with};

/// No request takes longer on the busiest machine, unless it waits for the outside: for keys five seconds, for a collector
/// five, for a Redis one.
const WAITS_FOR_NOBODY: Duration = Duration::from_secs(1);

/// Checks that none of these waited, and says how long the slowest took.
fn nobody_waited(told: &[Told]) {
    let slowest = told.iter().max_by_key(|told| told.took).unwrap();
    println!("{} requests, the slowest took {:?}", told.len(), slowest.took);
    assert!(slowest.took < WAITS_FOR_NOBODY, "{slowest:?}");
}

#[test]
fn known_tokens_flow_while_their_issuer_is_gone_then_slow_then_back_with_other_keys() {
    let (known, fresh) = (key("known"), key("fresh"));
    let says = Arc::new(Mutex::new(keys(&[&known])));
    let spoken = says.clone();
    let mut issuer = outside([127, 0, 0, 81], move |_| spoken.lock().unwrap().clone(), |_| {});
    let world = world(&format!(
        "version: 1\nidentities: {{ shop: {{ jwks: {}/jwks, issuer: https://id.test, audience: shop }} }}\n\
         routes: [{{ name: all, path: /**, require: {{ jwt: shop }}, answer: {{ status: 200 }} }}]\n",
        issuer.url()
    ));
    let seen = known.token("seen");
    assert_eq!(with(&world, &seen).status, 200);
    let both = keys(&[&fresh, &known]);
    // Every fourth token has never been seen: it is verified, with a key that is known.
    let load = load(&world, move |n| match n % 4 {
        0 => asking(&known.token(&format!("user-{n}"))),
        _ => asking(&seen),
    });
    let unknowable = |token: &str| {
        let refused = with(&world, token);
        assert_eq!((refused.status, refused.slug().as_str()), (503, "keys-unavailable"), "{refused:?}");
    };
    load.more(100);

    issuer.stop();
    for n in 0..20 {
        unknowable(&fresh.token(&format!("gone-{n}")));
    }
    load.more(100);

    let asked = issuer.asked();
    issuer.start_silent();
    eventually("the issuer is asked again", || issuer.asked() > asked);
    // It waits for what is in the air, as long as a request may, and still nobody knows.
    unknowable(&fresh.token("slow"));
    load.more(100);

    issuer.stop();
    *says.lock().unwrap() = both;
    issuer.start();
    eventually("the new key is believed", || {
        let answer = with(&world, &fresh.token("back"));
        assert!(answer.status == 200 || answer.slug() == "keys-unavailable", "{answer:?}");
        answer.status == 200
    });
    load.more(100);

    let told = load.end();
    assert_eq!(told.iter().find(|told| told.status != 200).map(|told| format!("{told:?}")), None);
    nobody_waited(&told);
    assert!(issuer.asked() < 10, "requests cost the issuer nothing: it was asked {} times", issuer.asked());
}

#[test]
fn spans_are_lost_and_counted_while_the_collector_is_gone_or_silent_and_nothing_else_is() {
    let (web, mut collector) = (service("web"), collector([127, 0, 0, 82]));
    let document = format!(
        "version: 1\ntrace: {{ sample: 100% }}\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    );
    let world = world_with(&document, |settings| settings.house.otlp = Some(collector.server.url()));
    let lost = || world.metric("banyan_spans_dropped_total").unwrap() as usize;
    let load = load(&world, |_| "GET /echo HTTP/1.1\r\nHost: shop.example\r\n\r\n".to_owned());
    eventually("spans arrive", || !collector.spans().is_empty());
    assert_eq!(lost(), 0);

    collector.server.stop();
    eventually("spans nobody takes are counted", || lost() > 0);
    load.more(100);

    let asked = collector.server.asked();
    collector.server.start_silent();
    eventually("the collector has taken spans", || collector.server.asked() > asked);
    let before = lost();
    load.more(100);
    eventually("spans nobody answers for are counted", || lost() > before);

    collector.server.stop();
    let arrived = collector.spans().len();
    collector.server.start();
    eventually("spans arrive again", || collector.spans().len() > arrived);
    load.more(100);

    let told = load.end();
    assert_eq!(told.iter().find(|told| told.status != 200).map(|told| format!("{told:?}")), None);
    nobody_waited(&told);
    // A request and its one attempt: two spans, each arrived or counted.
    let made = 2 * told.len();
    eventually("every span has arrived or is counted", || collector.spans().len() + lost() == made);
    let spans = collector.spans();
    println!("{made} spans, {} of them lost", lost());
    let mut traces: HashMap<&[u8], Vec<&Span>> = HashMap::new();
    for span in &spans {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    let (mut whole, mut halves) = (0, 0);
    for spans in traces.values_mut() {
        spans.sort_by_key(|span| span.kind);
        match spans[..] {
            [_] => halves += 1,
            [request, attempt] => {
                assert_eq!((request.kind, attempt.kind), (SERVER, CLIENT));
                assert_eq!(attempt.parent_span_id, request.span_id);
                whole += 1;
            }
            _ => panic!("two requests in one trace, or a span that arrived twice: {spans:#?}"),
        }
    }
    assert!(whole > 0 && halves <= lost(), "{whole} whole, {halves} halves");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn each_attempt_is_a_span_under_that_of_its_request_which_is_under_the_callers() {
    let (web, collector) = (service("web"), collector([127, 0, 0, 83]));
    let document = format!(
        "version: 1\ntrust: {{ networks: [127.0.0.0/8] }}\ntrace: {{ sample: 0% }}\ntargets: {{ web: {{ url: {} }} }}\n\
         routes: [{{ name: all, path: /**, to: web, retry: {{ attempts: 3 }} }}]\n",
        web.url()
    );
    let world = world_with(&document, |settings| settings.house.otlp = Some(collector.server.url()));
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let request =
        format!("GET /flaky/2 HTTP/1.1\r\nHost: shop.example\r\nTraceparent: 00-{trace}-{caller}-01\r\n\r\n");
    assert_eq!((world.send(&request).status, web.hits()), (200, 3));
    eventually("the spans have arrived", || collector.spans().len() >= 4);
    let spans = collector.spans();
    let (servers, attempts): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.kind == SERVER);
    let [server] = servers[..] else { panic!("{spans:#?}") };
    assert!(spans.iter().all(|span| hex(&span.trace_id) == trace), "{spans:#?}");
    assert_eq!((hex(&server.parent_span_id).as_str(), server.name.as_str()), (caller, "GET all"));
    assert_eq!(server.attribute("http.response.status_code"), "200");
    assert!(attempts.iter().all(|span| span.kind == CLIENT && span.parent_span_id == server.span_id));
    let told = |name: &str| attempts.iter().map(|span| span.attribute(name)).collect::<Vec<_>>();
    assert_eq!(told("http.response.status_code"), ["503", "503", "200"]);
    assert_eq!(told("http.request.resend_count"), ["", "1", "2"]);
    // The service was told the very spans: what it does is told under the attempt that made it.
    let heads = web.heads.lock().unwrap();
    let sent = heads.iter().map(|head| {
        let line = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("traceparent: ").map(str::to_owned));
        line.unwrap()
    });
    let spans = attempts.iter().map(|span| format!("00-{trace}-{}-01", hex(&span.span_id)));
    assert_eq!(sent.collect::<Vec<_>>(), spans.collect::<Vec<_>>());
    assert_eq!(server.service, "banyan-gateway");
}

/// While the store of shared limits was away: from when to when nothing else can have been known of it.
struct Away {
    began: Instant,
    known: Range<Instant>,
    ended: Instant,
}

#[test]
fn each_limit_does_what_it_says_while_its_store_stands_still_dies_and_comes_back_empty() {
    let mut redis = redis([127, 0, 0, 85]);
    let limited = |name: &str, limit: &str| {
        format!(
            "  - {{ name: {name}, path: /{name}, answer: {{ status: 200 }}, limit: {{ per: route, {limit}, if_store_down: {name} }} }}\n"
        )
    };
    let document = format!(
        "version: 1\nroutes:\n{}{}{}",
        limited("closed", "rate: 100000/m, burst: 100000"),
        limited("local", "rate: 40/h, burst: 40"),
        limited("open", "rate: 40/h, burst: 40"),
    );
    let world = world_with(&document, |settings| settings.house.redis = Some(redis.url()));
    let answers = || world.metric("banyan_limit_store_up") == Some(1.0);
    eventually("the store answers", answers);
    let load = load(&world, |n| {
        let path = ["/closed", "/local", "/open"][n % 3];
        format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    });
    let counted = || {
        load.until("/closed", 200);
        load.until("/local", 429);
        load.until("/open", 429);
    };
    // It is known that the store is down, and what was leased before has lapsed.
    let without = || {
        eventually("the store is known to be down", || !answers());
        load.until("/closed", 503);
        let since = Instant::now();
        load.more(120);
        since..Instant::now()
    };
    counted();

    let began = Instant::now();
    redis.freeze();
    let known = without();
    redis.thaw();
    eventually("the store answers again", answers);
    let frozen = Away { began, known, ended: Instant::now() };
    counted();

    let began = Instant::now();
    redis.kill();
    let known = without();
    redis.restart();
    eventually("the new store answers", answers);
    let killed = Away { began, known, ended: Instant::now() };
    counted();

    let told = load.end();
    nobody_waited(&told);
    let strange = told.iter().find(|told| {
        let fits: &[_] = match told.path.as_str() {
            "/closed" => &[(200, ""), (503, "limit-store-down")],
            _ => &[(200, ""), (429, "rate-limited")],
        };
        !fits.contains(&(told.status, told.slug.as_str()))
    });
    assert_eq!(strange.map(|told| format!("{told:?}")), None);
    let away = [&frozen, &killed];
    let knew = |told: &Told| away.iter().any(|away| within(&away.known, told));
    for told in told.iter().filter(|told| knew(told)) {
        assert!(
            !told.is("/closed", 200) && !told.is("/open", 429),
            "while the store is known to be down: {told:?}"
        );
    }
    let passed = |path: &str, so: &dyn Fn(&Told) -> bool| {
        told.iter().filter(|told| told.is(path, 200) && so(told)).count()
    };
    let missed = |told: &Told| away.iter().any(|away| (away.began..away.ended).contains(&told.began));
    // Alone a gateway holds a batch of 5 and lends half the burst, 20, beyond the 40 that the store has. The new store has
    // another 40; and there is a minute's refill, if the machine is that slow.
    let (open, local) = (passed("/open", &|told| !missed(told)), passed("/local", &|told| !missed(told)));
    println!("while the store answers, {open} and {local} pass where 40 may");
    assert!((40..=106).contains(&open) && (40..=106).contains(&local), "{open} and {local}");
    // Without the store it counts to 20, and does not begin anew because the store was there for a moment.
    let local = passed("/local", &missed);
    println!("without it, {local} pass where 20 may");
    assert!((1..=21).contains(&local), "{local} pass without the store, where 20 may");
    // The one time when a question is under way that nobody will answer: who waited for it waited a quarter of a second.
    let mut took: Vec<_> =
        told.iter().filter(|told| (frozen.began..frozen.known.start).contains(&told.began)).collect();
    took.sort_by_key(|told| told.took);
    if let Some(middle) = took.get(took.len() / 2) {
        println!("{} until it is known, the middle one took {:?}", took.len(), middle.took);
        assert!(middle.took < Duration::from_millis(125), "{middle:?}");
    }
}

/// Did it begin and end in this time?
fn within(time: &Range<Instant>, told: &Told) -> bool {
    time.contains(&told.began) && time.contains(&(told.began + told.took))
}
