//! The outside fails while clients go on sending: what each of its parts may cost, and that nobody waits
//! for it.
//!
//! Nothing here is measured tightly: a story waits until something is so, and the one bound on time is far from what a
//! request takes that waits for nobody.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::keys::{asking, key, keys, with};
use crate::outside::{Told, load, outside};
use crate::world::{eventually, world};

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
