//! The document's edits, and those it may not make.

use super::*;

fn name(text: &str) -> HeaderName {
    text.parse().unwrap()
}

fn pair(header: &str, value: &'static str) -> (HeaderName, HeaderValue) {
    (name(header), HeaderValue::from_static(value))
}

#[test]
fn edits_remove_then_set_then_add() {
    let set = vec![pair("x-b", "new"), pair("host", "inner")];
    let edits = Edits::new(set, vec![pair("x-c", "2"), pair("x-a", "again")], vec![name("x-a")]).unwrap();
    let mut headers = block("host: a\nx-a: 1\nx-b: 1\nx-b: 2\nx-c: 1");
    edits.apply(&mut headers);
    assert_eq!(text(&headers), "host: inner\nx-a: again\nx-b: new\nx-c: 1\nx-c: 2");
    assert!(!edits.is_empty());
    assert!(Edits::default().is_empty());
}

#[test]
fn what_the_message_rests_on_cannot_be_edited() {
    for (header, says) in [
        ("connection", "the header `connection` is about one connection only and cannot be edited"),
        ("te", "the header `te` is about one connection only and cannot be edited"),
        ("upgrade", "the header `upgrade` is about one connection only and cannot be edited"),
        ("content-length", "the header `content-length` says where the body ends and cannot be edited"),
        ("transfer-encoding", "the header `transfer-encoding` says where the body ends and cannot be edited"),
        (
            "x-banyan-priority",
            "the header `x-banyan-priority` is set by the proxy itself and cannot be edited",
        ),
        ("x_banyan_new", "the header `x_banyan_new` is set by the proxy itself and cannot be edited"),
        ("x-request-id", "the header `x-request-id` is set by the proxy itself and cannot be edited"),
    ] {
        let refusals = [
            Edits::new(vec![pair(header, "1")], vec![], vec![]),
            Edits::new(vec![], vec![pair(header, "1")], vec![]),
            Edits::new(vec![], vec![], vec![name(header)]),
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().to_string(), says);
        }
    }
    assert_eq!(Edits::new(vec![], vec![pair("host", "b")], vec![]), Err(EditError::Host));
    assert_eq!(Edits::new(vec![], vec![], vec![name("host")]), Err(EditError::Host));
}
