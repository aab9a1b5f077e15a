//! Copies of what goes by on the short road: one worker, put together by hand, and somebody who looks at the copies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gateway::connection::{Engine, Serving, serve};
use gateway::proxy::Front;
use gateway::road::{Piece, Road, Room, Tee};
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use policies::headers::hop::Framing;
use policies::plan::Way;
use shell::exchange::Core;
use shell::house::{Furnishing, House, HouseSettings};
use shell::listen::{Accepting, Intercepts, Limits, ListenAt, Permits, Phase, Shows, Sockets, Speaks};
use shell::upstream::Unable;
use tokio::sync::{mpsc, watch};

use crate::world::{Client, PATIENCE, service};

const UNABLE: Unable = Unable { spiffe: None, tcp: None, send_proxy: None };

/// The pieces of a copy as text.
fn told(out: &mut mpsc::Receiver<Piece>) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(piece) = out.blocking_recv() {
        told.push(match piece {
            Piece::Request(head) => {
                let ours = head.headers.contains_key("x-request-id");
                format!("{} {} {ours}", head.method, head.uri)
            }
            Piece::RequestBody(bytes) | Piece::AnswerBody(bytes) => {
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Piece::RequestEnd => ".".into(),
            Piece::Answer(head) => head.status.as_str().into(),
            Piece::AnswerEnd => "!".into(),
        });
    }
    told
}

#[test]
fn a_request_and_its_answer_are_copied_for_whoever_asks_and_nobody_waits_for_that() {
    let web = service("web");
    let folder = tempfile::tempdir().unwrap();
    let path = testkit::file(
        folder.path(),
        "shop.yaml",
        format!(
            "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
            web.url()
        ),
    );
    let house = House::furnish(
        &HouseSettings::new(path),
        Furnishing {
            name: "copies",
            workers: 1,
            identity: None,
            unable: UNABLE,
            prepare: Box::new(|_| Ok(Box::new(|| {}))),
        },
    )
    .unwrap();
    let places = [(ListenAt::Tcp(([127, 0, 0, 1], 0).into()), Speaks::Plain)];
    let sockets = Sockets::default().complete(&places, 1).unwrap();
    let Some((ListenAt::Tcp(at), _)) = sockets.places().first().cloned() else {
        panic!("it listens nowhere")
    };
    let (_phase, phases) = watch::channel(Phase::Serving);
    let core = Arc::new(Core {
        way: Way::Edge,
        framing: Framing::ByField,
        recall: None,
        plans: house.planned.clone(),
        keys: house.keys.clone(),
        store: house.store.clone(),
        last_good: Arc::default(),
        certificates: None,
        phase: phases.clone(),
        telemetry: house.telemetry.worker(0),
    });
    // The story's requests say how large a copy there is to be.
    let lost = Arc::<AtomicU64>::default();
    let copies = Arc::<Mutex<Vec<mpsc::Receiver<Piece>>>>::default();
    let (counts, kept) = (lost.clone(), copies.clone());
    let road = Road::new(core.clone()).copying(Box::new(move |head| {
        let bytes = head.headers.get("copy")?.to_str().ok()?.parse().ok()?;
        let (tee, out) = Tee::new(&Room { pieces: 16, bytes, lost: counts.clone() });
        kept.lock().unwrap().push(out);
        Some(tee)
    }));
    let conf = Arc::new(ServerConf::default());
    let serving = Arc::new(Serving {
        engine: Arc::new(Engine::new(http_proxy(&conf, Front::new(core.clone())))),
        road: Some(road),
        core,
        limits: Limits {
            idle_within: PATIENCE,
            header_within: PATIENCE,
            head_bytes_max: 0,
            body_rate_min: 0,
        },
        phase: phases.clone(),
        shutdown: watch::channel(false).1,
    });
    let accepting = Arc::new(Accepting {
        permits: Arc::new(Permits::new(10, 10)),
        counters: Arc::default(),
        shows: Shows::Nothing,
        intercepts: Intercepts::No,
        proxies: Vec::new(),
        handshake_within: PATIENCE,
    });
    let worker = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for socket in sockets.shares(1).into_iter().flatten() {
        let serving = serving.clone();
        let each = move |conn| serve(serving.clone(), conn);
        worker.spawn(shell::listen::run(socket, accepting.clone(), phases.clone(), each));
    }

    let ask = |path: &str, says: &str| {
        Client::to(at).send(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\n{says}Transfer-Encoding: chunked\r\n\r\n\
             4\r\ntwo \r\n5\r\npears\r\n0\r\n\r\n"
        ))
    };
    let copy = || told(&mut copies.lock().unwrap().pop().unwrap());
    assert_eq!(ask("/echo", "").status, 200);
    assert!(copies.lock().unwrap().is_empty(), "nobody asks for a copy of this");
    // Without the second field it would be a connection to use again, which the service then closes: see `after::Stale`.
    let whole = "/raw/HTTP/1.1_200_OK~Content-Length:_4~Connection:_close~~done";
    let answer = ask(whole, "Copy: 13\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, "done"));
    let all = copy();
    assert_eq!(all[0], format!("POST {whole} true"));
    assert_eq!(all[1..].concat(), "two pears.200done!", "{all:?}");
    assert_eq!(lost.load(Ordering::Relaxed), 0);
    // What is too large for its copy goes its way all the same.
    let answer = ask(whole, "Copy: 12\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, "done"));
    assert_eq!(copy()[1..].concat(), "two pears.200");
    assert_eq!(lost.load(Ordering::Relaxed), 1);
    // Half an answer is half a copy, and nothing that was lost.
    let answer = ask("/raw/HTTP/1.1_200_OK~Content-Length:_5~~done", "Copy: 100\r\n");
    assert_eq!(answer.header("x-truncated"), "yes");
    assert_eq!(copy()[1..].concat(), "two pears.200done");
    assert_eq!(lost.load(Ordering::Relaxed), 1);
    worker.shutdown_background();
}
