//! Limits shared through a store, as whole decisions: what they do with the store, without it, and beside other limits.

use std::collections::HashMap;

use super::*;
use crate::limit::Outcome;
use crate::limit::grant;
use crate::limit::lease::{Sharing, Store};
use crate::state::SharedRoom;

/// The state of a replica that was started with a store, which answers.
fn replica(seed: u64) -> Arc<Living> {
    let room = Room { shared: Some(SharedRoom::default()), ..Room::seeded([seed, 2, 3, 4]) };
    let living = Arc::new(Living::new(&room));
    living.leases.as_ref().unwrap().report(Store::Answers);
    living
}

fn limited(limit: &str) -> String {
    format!(
        "version: 1
targets: {{ shop: {{ url: http://shop }} }}
routes: [{{ name: all, to: shop, limit: {limit} }}]
"
    )
}

/// What became of so many requests at once.
fn says(world: &World, requests: usize) -> Vec<String> {
    (0..requests).map(|_| world.says(&get("/"))).collect()
}

fn asks(world: &World) -> Vec<StoreAsk> {
    world.verdict(&get("/"), &mut Silent).take_asks()
}

#[test]
fn a_limit_does_without_the_store_what_it_says() {
    const NEVER_STARTED: Option<Store> = None;
    let check = |more: &str, store: Option<Store>, expected: &[&str]| {
        let living = match store {
            None => living(),
            Some(store) => {
                let living = replica(1);
                living.leases.as_ref().unwrap().report(store);
                living
            }
        };
        let world =
            World::after(&limited(&format!("{{ per: address, rate: 1/s, burst: 4{more} }}")), &living, 1);
        assert_eq!(says(&world, 5), expected, "`{more}` {store:?}");
        if store != Some(Store::Answers) {
            assert!(asks(&world).is_empty(), "a store that is not there is not asked");
        }
    };
    let (yes, no, cannot) = ("-> shop", "rate-limited", "limit-store-down");
    // No store was configured: each gateway is alone and has the whole limit.
    check("", NEVER_STARTED, &[yes, yes, yes, yes, no]);
    check(", shared: true", NEVER_STARTED, &[yes, yes, yes, yes, no]);
    check(", if_store_down: open", NEVER_STARTED, &[yes; 5]);
    check(", if_store_down: closed", NEVER_STARTED, &[cannot; 5]);
    // It is down: a replica has its share.
    check("", Some(Store::Down), &[yes, yes, no, no, no]);
    check(", shared: false", Some(Store::Down), &[yes, yes, yes, yes, no]);
    check(", if_store_down: local", Some(Store::Down), &[yes, yes, no, no, no]);
    check(", if_store_down: open", Some(Store::Down), &[yes; 5]);
    check(", if_store_down: closed", Some(Store::Down), &[cannot; 5]);
    // It answers, but has not yet: credit is the same share, whatever the mode.
    check("", Some(Store::Answers), &[yes, yes, no, no, no]);
    check(", if_store_down: open", Some(Store::Answers), &[yes, yes, no, no, no]);
    check(", if_store_down: closed", Some(Store::Answers), &[yes, yes, no, no, no]);
}

#[test]
fn what_the_store_grants_is_spent_and_what_it_refuses_is_refused() {
    let living = replica(1);
    let leases = living.leases.as_ref().unwrap();
    let world = World::after(&limited("{ per: address, rate: 1/s, burst: 40 }"), &living, 1);
    let mut questions = asks(&world);
    let ask = questions.pop().unwrap();
    assert!(questions.is_empty());
    assert_eq!((ask.want(), ask.gcra().burst()), (1, 40));
    let next = ask.answered(leases, 1, Duration::from_secs(39), world.now.tick);
    assert!(next.is_none(), "nothing more was used meanwhile");
    // One is left in the store, and the model knows.
    assert_eq!(says(&world, 2), ["-> shop", "rate-limited"]);
    match world.verdict(&get("/"), &mut Silent) {
        Verdict::Refuse(refusal) => {
            assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
            let (limit, outcome) = refusal.standing().unwrap();
            assert!(limit.shared.is_some() && matches!(outcome, Outcome::Limited { .. }));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_question_leaves_with_every_kind_of_verdict() {
    let world = World::after(
        "version: 1
targets: { shop: { url: http://shop } }
routes:
  - { name: sent, path: /sent, to: shop, limit: { per: address, rate: 1/s } }
  - { name: said, path: /said, answer: { status: 200 }, limit: { per: address, rate: 1/s } }
  - { name: moved, path: /moved, redirect: { path: /sent }, limit: { per: address, rate: 1/s } }
  - name: refused
    path: /refused
    to: shop
    limit: [{ per: address, rate: 10/s }, { per: route, rate: 1/h, shared: false }]
  - { name: watched, path: /watched, to: shop, limit: { per: address, rate: 1/s, mode: observe } }
",
        &replica(1),
        1,
    );
    let check = |path: &str, expected: &str, questions: usize| {
        assert_eq!(world.says(&Call { from: [192, 0, 2, 1].into(), ..get(path) }), expected, "{path}");
        let mut verdict = world.verdict(&Call { from: [192, 0, 2, 2].into(), ..get(path) }, &mut Silent);
        assert_eq!(verdict.take_asks().len(), questions, "{path}");
        assert!(verdict.take_asks().is_empty(), "taken once");
    };
    check("/sent", "-> shop", 1);
    check("/said", "200", 1);
    check("/moved", "308", 1);
    check("/refused", "-> shop", 1);
    check("/watched", "-> shop", 1);
}

#[test]
fn shared_and_local_limits_take_all_or_nothing() {
    let living = replica(1);
    let text = limited(
        "[{ per: address, rate: 1/h, burst: 8 }, { per: header:x-user, rate: 1/h, burst: 8 }, { per: route, rate: 1/s, shared: false }]",
    );
    let mut world = World::after(&text, &living, 1);
    assert_eq!(says(&world, 20)[..2], ["-> shop", "rate-limited"], "the local limit refuses");
    // Of the four each lease lends, three are left: what the refused nineteen took was put back.
    for _ in 0..3 {
        world.now.tick = world.now.tick.after(Duration::from_secs(1));
        assert_eq!(world.says(&get("/")), "-> shop");
    }
    world.now.tick = world.now.tick.after(Duration::from_secs(1));
    match world.verdict(&get("/"), &mut Silent) {
        Verdict::Refuse(refusal) => assert_eq!(refusal.standing().unwrap().0.rate.to_string(), "1/h"),
        other => panic!("{other:?}"),
    }
    // And a refusal by a lease takes nothing of the local one.
    let mut other = get("/").with("x-user", "u2");
    other.from = [192, 0, 2, 1].into();
    assert_eq!(world.says(&other), "-> shop");
}

#[test]
fn a_closed_limit_that_cannot_be_counted_takes_nothing_from_the_others() {
    let living = living();
    let world = World::after(
        &limited(
            "[{ per: route, rate: 1/h, shared: false }, { per: address, rate: 1/s, if_store_down: closed }]",
        ),
        &living,
        1,
    );
    assert_eq!(says(&world, 3), ["limit-store-down"; 3]);
    let open = limited("[{ per: route, rate: 1/h, shared: false }]");
    assert_eq!(says(&World::after(&open, &living, 2), 2), ["-> shop", "rate-limited"]);
}

#[test]
fn a_shared_limit_that_observes_says_what_it_would_have_done() {
    let observed = |store: Store, more: &str| {
        let living = replica(1);
        living.leases.as_ref().unwrap().report(store);
        let text = limited(&format!("{{ per: address, rate: 1/h, burst: 2, mode: observe{more} }}"));
        let world = World::after(&text, &living, 1);
        let slugs = (0..2).map(|_| match world.verdict(&get("/"), &mut Silent) {
            Verdict::Permit(permit) => {
                permit.observed().iter().map(|observed| observed.because.slug()).collect::<String>()
            }
            other => panic!("{other:?}"),
        });
        slugs.collect::<Vec<_>>()
    };
    assert_eq!(observed(Store::Answers, ""), ["", "rate-limited"]);
    assert_eq!(observed(Store::Down, ""), ["", "rate-limited"]);
    assert_eq!(observed(Store::Down, ", if_store_down: open"), ["", ""]);
    assert_eq!(observed(Store::Down, ", if_store_down: closed"), ["limit-store-down"; 2]);
}

#[test]
fn replicas_name_a_caller_alike_and_tell_callers_limits_and_kinds_apart() {
    let text = limited(
        "[{ per: address, rate: 1/s }, { per: header:x-user, rate: 1/s }, { per: route, rate: 1/s }]",
    );
    let names = |seed: u64, call: &Call| {
        let mut verdict = World::after(&text, &replica(seed), 1).verdict(call, &mut Silent);
        let asks = verdict.take_asks();
        assert_eq!(asks.len(), 3);
        asks.iter().map(|ask| ask.name().to_string()).collect::<Vec<_>>()
    };
    let one = names(1, &get("/").with("x-user", "203.0.113.9"));
    assert_eq!(one, names(7, &get("/").with("x-user", "203.0.113.9")), "whatever the seeds of the process");
    let two = names(1, &Call { from: [203, 0, 113, 10].into(), ..get("/").with("x-user", "other") });
    assert_ne!(one[0], two[0]);
    assert_ne!(one[1], two[1]);
    assert_eq!(one[2], two[2], "all callers of a route");
    let caller = |name: &str| name.split_once(':').unwrap().1.to_owned();
    assert_ne!(caller(&one[0]), caller(&one[1]), "an address is not a header with the same text");
    assert_eq!(one[0].len(), 16 + 1 + 32, "{}", one[0]);
}

#[test]
fn a_reload_keeps_leases_and_debts() {
    let living = replica(1);
    let text = limited("{ per: address, rate: 1/s, burst: 4 }");
    assert_eq!(says(&World::after(&text, &living, 1), 2), ["-> shop"; 2]);
    assert_eq!(says(&World::after(&text, &living, 2), 1), ["rate-limited"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Three gateways and one store whose answers come late, in any order among replicas.
    #[test]
    fn gateways_together_keep_the_limit_and_the_bound(
        steps in prop::collection::vec((0..3usize, 0..40u64, any::<bool>()), 1..200),
        burst in 1..40u32,
    ) {
        let text = limited(&format!("{{ per: address, rate: 10/s, burst: {burst} }}"));
        let mut worlds: Vec<_> = (1..4).map(|seed| World::after(&text, &replica(seed), 1)).collect();
        let mut under_way: HashMap<usize, (StoreAsk, Tick)> = HashMap::new();
        let (mut full_at, mut now) = (Tick::ZERO, worlds[0].now.tick);
        let (began, mut admitted) = (now, 0);
        for (which, wait, answers) in steps {
            now = now.after(Duration::from_millis(wait));
            worlds[which].now.tick = now;
            let world = &worlds[which];
            let mut verdict = world.verdict(&get("/"), &mut Silent);
            admitted += u32::from(matches!(verdict, Verdict::Permit(_)));
            for ask in verdict.take_asks() {
                // One that had no answer for a whole hold counts as lost; here, it is.
                let lost = |(_, asked): &(StoreAsk, Tick)| now.since(*asked) >= Sharing::default().hold;
                let before = under_way.insert(which, (ask, now));
                prop_assert!(before.as_ref().is_none_or(lost), "one question at a time");
            }
            if answers && let Some((ask, _)) = under_way.remove(&which) {
                let given = grant(full_at, ask.gcra(), ask.want(), now);
                full_at = given.full_at;
                let leases = world.plan.living.leases.as_ref().unwrap();
                let next = ask.answered(leases, given.granted, given.full_at.since(now), now);
                under_way.extend(next.map(|ask| (which, (ask, now))));
            }
        }
        let rate = u32::try_from(now.since(began).as_millis() / 100).unwrap();
        // SharedRoom's default says two replicas, and there are three: the credit of each is half the burst.
        let outstanding = 3 * ((burst / 8).max(1) + (burst / 2).max(1));
        let kept = (burst * 8 * 100).max(1000);
        let forgotten = u32::try_from(now.since(began).as_millis()).unwrap() / kept * 3 * (burst / 2).max(1);
        prop_assert!(admitted <= burst + rate + outstanding + forgotten, "{admitted} of {burst} + {rate}");
    }
}
