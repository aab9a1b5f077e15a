//! The collector: what is sent comes out as a tree, and whatever is sent, it keeps so much and no more.

use demo::collector::Collector;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

fn pair(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn span(trace: u32, id: u8, parent: u8, name: &str, began_ms: u64, ended_ms: u64) -> Span {
    let mut trace_id = vec![0; 12];
    trace_id.extend(trace.to_be_bytes());
    Span {
        trace_id,
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        start_time_unix_nano: began_ms * 1_000_000,
        end_time_unix_nano: ended_ms * 1_000_000,
        attributes: vec![pair("order.id", "<o1>"), pair("thread.id", "7")],
        ..Span::default()
    }
}

fn sent(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let resource = Resource { attributes: vec![pair("service.name", service)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let of = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of] }.encode_to_vec()
}

#[tokio::test]
async fn spans_of_several_services_form_one_tree_whatever_their_order() {
    let collector = Collector::default();
    let (_tell, summary) = watch::channel("all is well".to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = collector.clone().router(summary);
    let served = tokio::spawn(async move { axum::serve(listener, router).await });
    let client = reqwest::Client::new();
    let post = async |body: Vec<u8>| {
        let request =
            client.post(format!("{base}/v1/traces")).header("content-type", "application/x-protobuf");
        request.body(body).send().await.unwrap().status().as_u16()
    };
    let order =
        sent("order", vec![span(7, 3, 2, "POST /api/orders", 20, 80), span(7, 5, 3, "charge", 50, 70)]);
    assert_eq!(post(order).await, 200);
    assert_eq!(
        post(sent("gateway", vec![span(7, 2, 1, "POST", 10, 90), span(7, 1, 0, "POST orders", 0, 100)]))
            .await,
        200
    );
    assert_eq!(post(b"nonsense".to_vec()).await, 400);
    let id = "00000000000000000000000000000007";
    let tree = collector.trace(id).unwrap().tree();
    let lines: Vec<_> =
        tree.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "gateway POST orders 100.0 ms order.id=<o1>",
            "gateway POST 80.0 ms order.id=<o1>",
            "order POST /api/orders 60.0 ms order.id=<o1>",
            "order charge 20.0 ms order.id=<o1>",
        ]
    );
    assert!(tree.contains("\n      order  charge"), "{tree}");
    let front = client.get(&base).send().await.unwrap().text().await.unwrap();
    assert!(front.contains("all is well") && front.contains(&format!("/traces/{id}")), "{front}");
    let one = client.get(format!("{base}/traces/{id}")).send().await.unwrap().text().await.unwrap();
    assert!(one.contains("order.id=&lt;o1&gt;") && !one.contains("<o1>"), "{one}");
    assert_eq!(client.get(format!("{base}/traces/other")).send().await.unwrap().status(), 404);
    served.abort();
}

#[test]
fn along_a_way_a_tree_is_short_and_says_how_much_it_leaves_out() {
    let collector = Collector::default();
    let through = vec![span(8, 1, 0, "POST orders", 0, 9), span(8, 2, 1, "POST", 0, 9)];
    collector.take(&sent("gateway", through)).unwrap();
    let order = vec![
        span(8, 3, 2, "POST /api/orders", 1, 8),
        span(8, 4, 3, "check user", 1, 2),
        span(8, 5, 4, "GET user", 1, 2),
        span(8, 6, 3, "charge", 3, 4),
        span(8, 7, 3, "save", 5, 6),
    ];
    collector.take(&sent("order", order)).unwrap();
    let trace = collector.trace("00000000000000000000000000000008").unwrap();
    let charge = trace.spans.iter().find(|span| span.name == "charge").unwrap();
    let tree = trace.tree_along(&[trace.way(charge)]);
    let wanted = [
        "gateway  POST orders ",
        "  order  POST /api/orders ",
        "    order  charge ",
        "    (+ 3: check user, save)",
    ];
    assert_eq!(tree.lines().count(), wanted.len(), "{tree}");
    assert!(tree.lines().zip(wanted).all(|(line, wanted)| line.starts_with(wanted)), "{tree}");
}

#[test]
fn the_oldest_traces_leave_and_a_trace_without_end_is_cut() {
    let collector = Collector::default();
    for trace in 1..=1_001 {
        collector.take(&sent("one", vec![span(trace, 1, 0, "a", 0, 1)])).unwrap();
    }
    assert_eq!(collector.last(5_000).len(), 1_000);
    assert!(collector.trace("00000000000000000000000000000001").is_none(), "the oldest has left");
    assert!(collector.trace("00000000000000000000000000000002").is_some());
    let other = |id: u64| Span { span_id: id.to_be_bytes().to_vec(), ..span(5, 9, 1, "again", 0, 1) };
    let endless = (0..1_000).chain(0..1_000).map(other).collect();
    collector.take(&sent("one", endless)).unwrap();
    assert_eq!(collector.trace("00000000000000000000000000000005").unwrap().spans.len(), 300);
}

#[test]
fn spans_that_are_their_own_ancestors_end_all_the_same() {
    let collector = Collector::default();
    let circle = vec![
        span(9, 1, 0, "root", 0, 9),
        span(9, 2, 3, "a", 1, 2),
        span(9, 3, 2, "b", 1, 2),
        span(9, 4, 4, "self", 1, 2),
    ];
    collector.take(&sent("one", circle)).unwrap();
    assert_eq!(collector.trace("00000000000000000000000000000009").unwrap().tree().lines().count(), 1);
}
