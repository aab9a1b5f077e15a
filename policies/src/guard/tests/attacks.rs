//! Attacks that worked on others, each pinned. The numbers are those of CVE records.

use super::*;

fn denied(text: &str) -> Denial {
    outcome(text, &Rules::default()).unwrap_err()
}

#[test]
fn cve_2026_2833_no_tunnel_without_a_101() {
    let switching = http::Response::builder().status(200).body(()).unwrap().into_parts().0;
    let asked = Asked { method: &http::Method::GET, upgrade: Some(Upgrade::WebSocket) };
    let body = inspect_answer(&switching, &asked, &Rules::default(), &mut Silent);
    assert_eq!(body, Ok(AnswerBody::UntilClose));
}

#[test]
fn cve_2026_2835_http_1_0_is_never_chunked() {
    assert_eq!(denied("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked"), Denial::BadFraming);
}

#[test]
fn cve_2021_32715_a_signed_length_is_no_length() {
    assert_eq!(denied("POST / HTTP/1.1\nHost: a\nContent-Length: +3"), Denial::BadFraming);
}

#[test]
fn cve_2023_40225_an_empty_length_is_no_length() {
    assert_eq!(denied("POST / HTTP/1.1\nHost: a\nContent-Length:"), Denial::BadFraming);
}

#[test]
fn cve_2026_33555_a_body_that_never_came_does_not_borrow_the_next_one() {
    let mut meter = BodyMeter::request(Body::Length(10), 100).unwrap();
    assert_eq!(meter.end(Ended::Properly), Err(Misfit::Truncated));
}

#[test]
fn cve_2021_39240_http2_names_one_authority() {
    assert_eq!(denied("GET / HTTP/2\n:authority: a\nhost: b"), Denial::BadHost);
    let mut sent = Sent::new("GET / HTTP/2\n:authority: a");
    sent.head.uri = "ftp://a/".parse().unwrap();
    let verdict = inspect(&sent.incoming(), Wire::default(), &Rules::default(), &mut Silent);
    assert_eq!(verdict.unwrap_err(), Denial::BadTarget);
}

#[test]
fn cve_2019_9901_policies_and_services_see_one_path() {
    for target in ["//admin", "/a/../admin", "/./admin", "/%61dmin", "/a/%2e%2e/admin"] {
        let clean = outcome(&format!("GET {target} HTTP/1.1\nHost: a"), &Rules::default());
        assert_eq!(clean.as_deref(), Ok("a /admin None"), "{target}");
    }
}

#[test]
fn cve_2021_29492_an_escaped_slash_is_refused() {
    assert_eq!(denied("GET /public%2fadmin HTTP/1.1\nHost: a"), Denial::BadPath);
    assert_eq!(denied("GET /public%5Cadmin HTTP/1.1\nHost: a"), Denial::BadPath);
}

#[test]
fn cve_2021_32779_a_fragment_is_refused() {
    assert_eq!(denied("GET /admin#/public HTTP/1.1\nHost: a"), Denial::BadTarget);
}

#[test]
fn cve_2026_26205_two_slashes_begin_a_path_not_an_authority() {
    let clean = outcome("GET //evil.example/admin HTTP/1.1\nHost: a", &Rules::default());
    assert_eq!(clean.as_deref(), Ok("a /evil.example/admin None"));
}

#[test]
fn cve_2026_27588_hosts_have_no_case() {
    let clean = outcome("GET / HTTP/1.1\nHost: SHOP.Example", &Rules::default());
    assert_eq!(clean.as_deref(), Ok("shop.example / None"));
}

#[test]
fn dots_behind_a_parameter_are_refused() {
    assert_eq!(denied("GET /public/..;/admin HTTP/1.1\nHost: a"), Denial::BadPath);
}

#[test]
fn cve_2021_32777_a_second_token_is_refused() {
    assert_eq!(denied("GET / HTTP/1.1\nHost: a\nAuthorization: a\nAuthorization: b"), Denial::BadHeader);
}

#[test]
fn cve_2026_52845_an_underscore_is_no_hyphen() {
    let text = "GET / HTTP/1.1\nHost: a\nRemote_Groups: admin";
    assert_eq!(denied(text), Denial::BadHeader);
    let keep = Rules { underscores: Underscores::Keep, ..Rules::default() };
    assert_eq!(outcome(text, &keep).as_deref(), Ok("a / None"));
    let drop = Rules { underscores: Underscores::Drop, ..Rules::default() };
    let mut sent = Sent::new(text);
    assert!(inspect(&sent.incoming(), Wire::default(), &drop, &mut Silent).is_ok());
    drop_underscored(&mut sent.head.headers, &keep);
    assert_eq!(sent.head.headers.len(), 2);
    drop_underscored(&mut sent.head.headers, &drop);
    assert_eq!(sent.head.headers.len(), 1);
}
