//! A shop with many routes and many callers, for the benchmark and for the test that counts allocations.
#![allow(dead_code, reason = "each of the two uses its part")]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::request::Parts;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk};
use policies::admit::{Ask, Verdict, admit};
use policies::document::{Document, Secret, Source};
use policies::guard::{self, Wire};
use policies::headers::{Carried, Trusted};
use policies::identity::Asked;
use policies::identity::keys::KeySet;
use policies::limit::lease::Store;
use policies::plan::{Materials, Plan};
use policies::request::{Incoming, Peer, Secure};
use policies::state::{Living, Room, SharedRoom};
use policies::time::Now;
use policies::why::Silent;

const SECRET: &[u8] = b"a secret of more than thirty-two bytes, for tests";

/// A plan, and requests that it permits.
pub struct Shop {
    plan: Plan,
    peer: Peer,
    requests: Vec<(Parts, String, Carried)>,
    /// What a store of shared limits was asked so far.
    pub questions: Cell<usize>,
}

/// How much of the work.
#[derive(Clone, Copy)]
pub enum Part {
    Guard,
    GuardAndAdmit,
}

fn claims(user: usize) -> serde_json::Value {
    serde_json::json!({
        "iss": "https://id.shop.example", "aud": "shop-api", "sub": format!("user-{user}"), "scope": "orders:read profile",
        "exp": 1_800_000_000_u64, "name": "A person with a name", "email": format!("user-{user}@shop.example"),
        "roles": ["customer", "reviewer"], "tenant": "shop", "jti": "4f9a3c1e-2b7d-4a86-9c55-d1e0f3b2a790",
    })
}

/// A token, and the keys to verify it with.
pub fn token_and_keys(algorithm: Algorithm) -> (String, KeySet) {
    policies::identity::install_provider();
    let mut header = Header::new(algorithm);
    header.kid = Some("one".into());
    if algorithm == Algorithm::HS256 {
        let token = encode(&header, &claims(1), &EncodingKey::from_secret(SECRET)).unwrap();
        return (token, KeySet::from_secret(SECRET).unwrap());
    }
    let random = ring::rand::SystemRandom::new();
    let document = ring::signature::EcdsaKeyPair::generate_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &random,
    )
    .unwrap();
    let key = EncodingKey::from_ec_der(document.as_ref());
    let mut public = jwk::Jwk::from_encoding_key(&key, algorithm).unwrap();
    public.common.key_id = Some("one".into());
    let keys = serde_json::to_vec(&serde_json::json!({ "keys": [public] })).unwrap();
    (encode(&header, &claims(1), &key).unwrap(), KeySet::from_jwks(&keys).unwrap())
}

impl Shop {
    pub fn new(routes: usize, users: usize) -> Self {
        Self::with_room(routes, users, &Room::seeded([1, 2, 3, 4]))
    }

    /// Its limits are shared, and a store answers each question at once with all that was wanted.
    pub fn sharing(routes: usize, users: usize) -> Self {
        let room = Room { shared: Some(SharedRoom::default()), ..Room::seeded([1, 2, 3, 4]) };
        let shop = Self::with_room(routes, users, &room);
        shop.plan.living.leases.as_ref().unwrap().report(Store::Answers);
        shop
    }

    fn with_room(routes: usize, users: usize, room: &Room) -> Self {
        let mut text = String::from(
            "version: 1
targets: { shop: { url: http://shop:8080, overload: { start: 1000 } } }
identities: { customers: { secret: { env: SECRET }, issuer: https://id.shop.example, audience: shop-api } }
profiles: { all: { require: { jwt: customers, scope: orders:read }, limit: { per: user, rate: 1000/s }, priority: critical } }
routes:
",
        );
        for n in 0..routes {
            text += &format!("  - {{ name: r{n}, path: /api/service-{n}/**, use: all, to: shop }}\n");
        }
        let document = Document::load(&[Source::new("shop.yaml", text)]).unwrap();
        let mut materials = Materials::default();
        materials.add(Secret::Env("SECRET".into()), SECRET);
        let living = Arc::new(Living::new(room));
        let plan = Plan::compile(&document, &materials, &living, 1).unwrap();
        let peer = Peer { address: [203, 0, 113, 9].into(), secure: Secure::Tls, identity: None };
        policies::identity::install_provider();
        let request = |user: usize| {
            let token =
                encode(&Header::new(Algorithm::HS256), &claims(user), &EncodingKey::from_secret(SECRET))
                    .unwrap();
            let target = format!("/api/service-{}/{user}/lines?page=2", user * routes / users);
            let request = Request::builder()
                .uri(&target)
                .header("host", "shop.example")
                .header(
                    "user-agent",
                    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
                )
                .header("accept", "application/json, text/plain, */*")
                .header("accept-encoding", "gzip, deflate, br")
                .header("accept-language", "ko-KR,ko;q=0.9,en;q=0.8")
                .header("authorization", format!("Bearer {token}"))
                .header("referer", "https://shop.example/orders")
                .header("cookie", "sid=6f1d2c3b4a5968778695a4b3c2d1e0f1");
            let (head, ()) = request.body(()).unwrap().into_parts();
            let carried = Carried::read(&head.headers, Trusted::No, 7);
            (head, target, carried)
        };
        Self { plan, peer, requests: (0..users).map(request).collect(), questions: Cell::new(0) }
    }

    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Decides about one request; true if it is permitted.
    pub fn decide(&self, which: usize, part: Part, now: Now) -> bool {
        let (head, target, carried) = &self.requests[which];
        let incoming = Incoming { head, target: target.as_bytes(), peer: &self.peer };
        let clean = guard::inspect(&incoming, Wire::default(), &self.plan.guard, &mut Silent).unwrap();
        if let Part::Guard = part {
            return true;
        }
        let ask = Ask {
            incoming: &incoming,
            clean: &clean,
            carried,
            client: self.peer.address,
            now,
            roll: 1,
            asked: Asked::NotYet,
            last: None,
        };
        let mut verdict = admit(&self.plan, &self.plan.edge, &ask, &mut Silent);
        for ask in verdict.take_asks() {
            self.questions.set(self.questions.get() + 1);
            let leases = self.plan.living.leases.as_ref().unwrap();
            let want = ask.want();
            let next = ask.answered(leases, want, Duration::ZERO, now.tick);
            assert!(next.is_none(), "everything was granted");
        }
        matches!(verdict, Verdict::Permit(_))
    }
}
