//! A request made of any bytes is refused, or has one host, one path and one length; and the same again is the same.
#![no_main]

use http::{HeaderName, HeaderValue, Method, Request, Version};
use libfuzzer_sys::fuzz_target;
use policies::guard::{self, Rules, Wire};
use policies::request::{Incoming, Peer, Secure};
use policies::why::Silent;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let (Some(method), Some(target)) = (lines.next(), lines.next()) else { return };
    let Ok(method) = Method::from_bytes(method) else { return };
    let mut builder = Request::builder().method(method).version(match data.len() % 3 {
        0 => Version::HTTP_11,
        1 => Version::HTTP_2,
        _ => Version::HTTP_10,
    });
    if let Ok(uri) = http::Uri::try_from(target) {
        builder = builder.uri(uri);
    }
    let Ok(request) = builder.body(()) else { return };
    let (mut head, ()) = request.into_parts();
    for line in lines.take(200) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            head.headers.append(name, value);
        }
    }
    let peer = Peer { address: [127, 0, 0, 1].into(), secure: Secure::Plain, identity: None };
    let incoming = Incoming { head: &head, target, peer: &peer };
    if let Ok(clean) = guard::inspect(&incoming, Wire::default(), &Rules::default(), &mut Silent) {
        assert!(clean.path.starts_with('/') || &*clean.path == "*");
        assert!(clean.host.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
        let onward = clean.target().into_owned();
        if let Ok(uri) = http::Uri::try_from(onward.as_str()) {
            let (mut again, ()) = Request::new(()).into_parts();
            again.method = head.method.clone();
            again.version = head.version;
            again.headers = head.headers.clone();
            again.uri = uri;
            if head.version == Version::HTTP_11 {
                again.headers.insert("host", HeaderValue::from_str(&match clean.port {
                    Some(port) => format!("{}:{port}", clean.host),
                    None => clean.host.to_string(),
                }).expect("a clean host is a header value"));
                let incoming = Incoming { head: &again, target: onward.as_bytes(), peer: &peer };
                let second = guard::inspect(&incoming, Wire::default(), &Rules::default(), &mut Silent);
                let second = second.expect("what the guard lets through, it lets through again");
                assert_eq!((&second.host, &second.path, second.query), (&clean.host, &clean.path, clean.query));
            }
        }
    }
});
