//! An issuer that rotates its keys, fails, talks nonsense and dies.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rcgen::{KeyPair, PublicKeyData};

use crate::world::{Answer, World, world};

/// A key with its name.
pub struct Key {
    pair: KeyPair,
    id: &'static str,
}

pub fn key(id: &'static str) -> Key {
    Key { pair: KeyPair::generate().unwrap(), id }
}

impl Key {
    fn jwk(&self) -> String {
        // An uncompressed point: one byte, then both coordinates.
        let point = self.pair.der_bytes();
        let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..65]));
        format!(
            "{{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"kid\":\"{}\",\"x\":\"{x}\",\"y\":\"{y}\"}}",
            self.id
        )
    }

    /// A token nobody has seen yet.
    pub fn token(&self, user: &str) -> String {
        policies::identity::install_provider();
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(self.id.into());
        let claims = serde_json::json!({ "iss": "https://id.test", "aud": "shop", "sub": user, "exp": 4_000_000_000_u64 });
        let signing = jsonwebtoken::EncodingKey::from_ec_der(&self.pair.serialize_der());
        jsonwebtoken::encode(&header, &claims, &signing).unwrap()
    }
}

/// An issuer: what it answers, and how often it was asked.
struct Issuer {
    url: String,
    says: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

fn issuer(says: String) -> Issuer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let issuer = Issuer { url, says: Arc::new(Mutex::new(says)), asked: Arc::default() };
    let (says, asked) = (issuer.says.clone(), issuer.asked.clone());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            asked.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(says.lock().unwrap().as_bytes());
        }
    });
    issuer
}

/// What an issuer of these keys answers.
pub fn keys(keys: &[&Key]) -> String {
    let body = format!("{{\"keys\":[{}]}}", keys.iter().map(|key| key.jwk()).collect::<Vec<_>>().join(","));
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// A request with this token.
pub fn asking(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")
}

pub fn with(world: &World, token: &str) -> Answer {
    world.send(&asking(token))
}

#[test]
fn keys_rotate_and_good_ones_outlive_an_issuer_in_trouble() {
    let (first, second, third) = (key("1"), key("2"), key("3"));
    let issuer = issuer(keys(&[&first]));
    let world = world(&format!(
        "version: 1\nidentities: {{ shop: {{ jwks: {}, issuer: https://id.test, audience: shop }} }}\n\
         routes: [{{ name: all, path: /**, require: {{ jwt: shop }}, answer: {{ status: 200 }} }}]\n",
        issuer.url
    ));
    assert_eq!(
        with(&world, &first.token("a")).status,
        200,
        "the first request waits for the first fetch, if it must"
    );
    *issuer.says.lock().unwrap() = keys(&[&first, &second]);
    assert_eq!(with(&world, &second.token("b")).status, 200, "a key nobody knows is asked for once");
    let asked = issuer.asked.load(Ordering::SeqCst);
    for n in 0..20 {
        let refused = with(&world, &third.token(&format!("flood-{n}")));
        assert_eq!((refused.status, refused.slug().as_str()), (401, "token-key-unknown"));
    }
    assert!(issuer.asked.load(Ordering::SeqCst) <= asked + 1, "and no more than that in ten seconds");
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}";
    for trouble in ["HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "nonsense", empty, ""] {
        *issuer.says.lock().unwrap() = trouble.to_owned();
        with(&world, &third.token("asks for a fetch, if one is due"));
        for (n, good) in [&first, &second].into_iter().enumerate() {
            let answer = with(&world, &good.token(&format!("{n}-{}", trouble.len())));
            assert_eq!(
                answer.status, 200,
                "good keys are kept while the issuer says {trouble:?}: {answer:?}"
            );
        }
    }
}
