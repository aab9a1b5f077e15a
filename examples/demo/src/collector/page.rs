//! The demo's own page: what runs, where to look, and the latest traces.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tokio::sync::watch;

use super::{Collector, Trace};
use crate::shop::{GATEWAY, GATEWAY_ADMIN, LEGACY, SERVICES};

const SHOWN: usize = 60;
const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222 }
pre { background: #f6f6f4; padding: 1em; overflow-x: auto; line-height: 1.35 }
td, th { padding: .15em .9em .15em 0; text-align: left }
b { color: #b00020 }
";

type Shown = State<(Collector, watch::Receiver<String>)>;

pub(super) async fn front(State((collector, summary)): Shown) -> Html<String> {
    let gateway = ["metrics", "targets", "generations", "config"].map(|name| link(GATEWAY_ADMIN, name, name));
    let places = format!(
        "<p>{}, through the gateway; its {}</p>",
        link(GATEWAY, "", "the shop itself"),
        gateway.join(", ")
    );
    let summary = format!("<pre>{}</pre>", escaped(&summary.borrow()));
    let body = ["<h1>The shop</h1>", &places, &summary, &addresses(), &latest(&collector)].join("\n");
    page("The shop", "<meta http-equiv=\"refresh\" content=\"5\">", &body)
}

pub(super) async fn one(State((collector, _)): Shown, Path(id): Path<String>) -> Response {
    match collector.trace(&id) {
        Some(trace) => {
            let body = format!(
                "<h1>{}</h1><p>trace {} · <a href=\"/\">all</a></p><pre>{}</pre>",
                escaped(&title(&trace)),
                escaped(&id),
                escaped(&trace.tree())
            );
            page("A trace", "", &body).into_response()
        }
        None => (StatusCode::NOT_FOUND, "this trace is not here, or not here any more\n").into_response(),
    }
}

fn link(port: u16, path: &str, words: &str) -> String {
    format!("<a href=\"http://127.0.0.1:{port}/{path}\">{words}</a>")
}

fn addresses() -> String {
    let mut rows = row(&["legacy-shop", &link(LEGACY, "", &LEGACY.to_string()), ""]);
    for service in &SERVICES {
        let (app, admin) = (service.app(), service.admin());
        let of_app = ["openapi.json", "health", "metrics"].map(|name| link(app, name, name)).join(", ");
        let of_sidecar = ["targets", "metrics", "config"].map(|name| link(admin, name, name)).join(", ");
        rows += &row(&[service.name, &format!("{app}: {of_app}"), &format!("{admin}: {of_sidecar}")]);
    }
    let head = "<tr><th>service</th><th>app</th><th>sidecar</th></tr>";
    format!("<h2>What runs</h2>\n<table>{head}\n{rows}</table>")
}

fn latest(collector: &Collector) -> String {
    let mut rows = String::new();
    for (id, trace) in collector.last(SHOWN) {
        let failed = trace.spans.iter().any(|span| span.failed);
        let ms = trace.root().map(super::Span::ms).unwrap_or_default();
        rows += &row(&[
            &format!("<a href=\"/traces/{id}\">{}</a>", escaped(&title(&trace))),
            &format!("{ms:.1} ms"),
            &format!("{} spans", trace.spans.len()),
            &escaped(&trace.services().join(", ")),
            if failed { "<b>failed</b>" } else { "" },
        ]);
    }
    format!("<h2>Latest traces</h2>\n<table>{rows}</table>")
}

fn row(cells: &[&str]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr>{cells}</tr>\n")
}

fn title(trace: &Trace) -> String {
    trace.root().map(|root| format!("{} {}", root.service, root.name)).unwrap_or_default()
}

fn page(title: &str, head: &str, body: &str) -> Html<String> {
    let head = format!("<meta charset=\"utf-8\"><title>{title}</title>{head}<style>{STYLE}</style>");
    Html(format!("<!doctype html>\n<html lang=\"en\"><head>{head}</head>\n<body>{body}</body></html>\n"))
}

/// Whatever a span says stays text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
