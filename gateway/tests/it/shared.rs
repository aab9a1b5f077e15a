//! Two gateways and one Redis: a limit they share, and what becomes of it when the Redis dies.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{World, eventually, world_with};

/// A Redis of this story's own; it ends with it.
struct Redis {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

fn redis() -> Redis {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is missing: sudo apt-get install redis-server");
    eventually("Redis listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    Redis { process, url: format!("redis://127.0.0.1:{port}"), _folder: folder }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn store_answers(world: &World) -> bool {
    let admin = world.gateway.as_ref().unwrap().admin();
    let page = crate::world::Client::to(admin).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    page.body.contains("banyan_limit_store_up 1")
}

#[test]
fn a_limit_is_shared_and_a_dead_store_delays_nobody() {
    let redis = redis();
    let document = "version: 1\nroutes:\n  - name: all\n    path: /**\n    answer: { status: 200 }\n    \
                    limit: { per: route, rate: 10/h, burst: 10, if_store_down: local }\n";
    let start = || world_with(document, |settings| settings.redis = Some(redis.url.clone()));
    let (one, two) = (start(), start());
    eventually("both are connected", || store_answers(&one) && store_answers(&two));
    let mut passed = 0;
    for _ in 0..50 {
        passed += usize::from(one.get("/").status == 200) + usize::from(two.get("/").status == 200);
    }
    // Alone they would let 20 through; the bound while the store answers is 2.25 bursts, and in turn it stays near one.
    assert!((8..=15).contains(&passed), "{passed} passed");
    drop(redis);
    let begun = Instant::now();
    for _ in 0..50 {
        assert!(matches!(one.get("/").status, 200 | 429));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits for a dead store: {:?}", begun.elapsed());
}
