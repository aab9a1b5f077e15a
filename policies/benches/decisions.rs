//! What a decision costs: route lookup, tokens, limits, and the whole admission of a request.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark is no API, and stops where it cannot go on"
)]

#[path = "../tests/world/mod.rs"]
mod world;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use jsonwebtoken::Algorithm;
use policies::identity::cache::{TokenCache, TokenCacheSettings};
use policies::identity::jwks::Keyring;
use policies::identity::keys::KeySet;
use policies::identity::{Asked, Audience, Issuer, IssuerSettings, TokenCheck};
use policies::limit::{Buckets, Quota};
use policies::route::{Ask, Path, Pattern, Table};
use policies::time::{Now, Tick};
use policies::why::Silent;

const NOW: Now = Now { tick: Tick::from_nanos(1_000_000_000), unix_secs: 1_700_000_000 };

/// Ten routes or a hundred thousand: 256 different paths, spread over the table.
fn routes(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for count in [10_usize, 1_000, 10_000, 100_000] {
        let pattern = |n: usize| Pattern {
            name: format!("r{n}"),
            paths: vec![Path::parse(&format!("/api/v{}/service-{n}/{{id}}/**", n % 7)).unwrap()],
            ..Pattern::default()
        };
        let table = Table::build((0..count).map(pattern).collect()).unwrap();
        let paths: Vec<String> = (0..256)
            .map(|n| n * count / 256)
            .map(|n| format!("/api/v{}/service-{n}/{}/lines", n % 7, n + 1_000))
            .collect();
        let headers = HeaderMap::new();
        let mut next = 0;
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                next = (next + 1) % paths.len();
                let path = &paths[next];
                let ask =
                    Ask { host: "shop.example", path, query: None, method: &Method::GET, headers: &headers };
                black_box(table.find(&ask, &mut Silent));
            });
        });
    }
    group.finish();
}

/// A token that was seen lately, and one that was not.
fn tokens(c: &mut Criterion) {
    let settings = IssuerSettings {
        name: "shop".into(),
        issuers: vec!["https://id.shop.example".into()],
        audience: Audience::OneOf(vec!["shop-api".into()]),
        ..IssuerSettings::default()
    };
    let issuer = Issuer::compile(&settings).unwrap();
    let mut group = c.benchmark_group("token");
    for (name, algorithm) in [("HS256", Algorithm::HS256), ("ES256", Algorithm::ES256)] {
        let (token, keys): (String, KeySet) = world::token_and_keys(algorithm);
        let keyring = Keyring::fixed(keys);
        let cache = TokenCache::new(TokenCacheSettings::default(), [1, 2, 3, 4]);
        let check = TokenCheck { issuer: &issuer, keyring: &keyring, cache: &cache, last: None };
        check.verify(&token, NOW, Asked::NotYet, &mut Silent).unwrap();
        group.bench_function(format!("{name} seen lately"), |b| {
            b.iter(|| black_box(check.verify(&token, NOW, Asked::NotYet, &mut Silent).is_ok()));
        });
        group.bench_function(format!("{name} never seen"), |b| {
            b.iter_batched_ref(
                || {
                    TokenCache::new(
                        TokenCacheSettings { entries_max: 16, ..TokenCacheSettings::default() },
                        [1, 2, 3, 4],
                    )
                },
                |cache| {
                    let check = TokenCheck { issuer: &issuer, keyring: &keyring, cache, last: None };
                    black_box(check.verify(&token, NOW, Asked::NotYet, &mut Silent).is_ok())
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A million callers, in a store with room for two.
fn limits(c: &mut Criterion) {
    let gcra = Quota { count: 100, per: Duration::from_secs(1), burst: Some(200) }.compile().unwrap();
    let buckets = Buckets::new(2_000_000, [1, 2, 3, 4]);
    let mut clock = 1_000_000_000_u64;
    for caller in 0..1_000_000_u64 {
        buckets.check(gcra, buckets.key(7, caller), 1, Tick::from_nanos(clock));
    }
    let mut caller = 1_u64;
    c.bench_function("limit/one of a million callers", |b| {
        b.iter(|| {
            caller = caller.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            clock += 1_000;
            let key = buckets.key(7, (caller >> 33) % 1_000_000);
            black_box(buckets.check(gcra, key, 1, Tick::from_nanos(clock)))
        });
    });
    assert!(buckets.bytes() < 40 << 20, "{} bytes for two million buckets", buckets.bytes());
}

/// Guard, route, token, limit, priority: from the head of a request to its permit, over 1,000 routes and 256 tokens.
fn admission(c: &mut Criterion) {
    let world = world::Shop::new(1_000, 256);
    let sharing = world::Shop::sharing(1_000, 256);
    let mut next = 0;
    let mut clock = 1_000_000_000_u64;
    let mut group = c.benchmark_group("admit");
    let both = world::Part::GuardAndAdmit;
    for (name, world, part) in [
        ("guard", &world, world::Part::Guard),
        ("guard and decision", &world, both),
        ("guard and decision, limit shared", &sharing, both),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                next = (next + 1) % world.requests();
                clock += 100_000;
                black_box(world.decide(next, part, Now { tick: Tick::from_nanos(clock), ..NOW }))
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = routes, tokens, limits, admission
}
criterion_main!(benches);
