//! A live edit, a bad edit, a way back; and leaving without losing anybody.

use crate::world::{eventually, service, world, world_with};

fn answering(words: &str) -> String {
    format!("version: 1\nroutes: [{{ name: all, path: /**, answer: {{ status: 200, body: {words} }} }}]\n")
}

#[test]
fn a_live_edit_is_in_force_a_bad_one_is_not_and_there_is_a_way_back() {
    let world = world(&answering("one"));
    assert_eq!(world.get("/").body, "one");
    world.rewrite(&answering("two"));
    eventually("the edit is in force", || world.get("/").body == "two");
    assert_eq!(world.generation(), 2);
    world.rewrite("version: 1\nroutes: [{ nome: all }]\n");
    let plans = world.gateway.as_ref().unwrap().plans().clone();
    eventually("the bad one was judged", || plans.status().last_failure.is_some());
    assert!(plans.status().last_failure.unwrap().problems.contains("`nome` is not a key here"));
    assert_eq!((world.get("/").body.as_str(), world.generation()), ("two", 2));
    assert_eq!(plans.rollback(None).unwrap(), 3);
    assert_eq!(world.get("/").body, "one");
    world.rewrite(&answering("three"));
    eventually("an edit ends the rollback", || world.get("/").body == "three");
}

#[test]
fn a_restart_with_a_bad_document_goes_on_with_the_last_good_one() {
    let state = tempfile::tempdir().unwrap();
    let keep = |settings: &mut gateway::settings::Settings| settings.house.state = Some(state.path().into());
    drop(world_with(&answering("good"), keep));
    let world = world_with("version: 2\n", keep);
    assert_eq!(world.get("/").body, "good");
    assert_eq!(world.generation(), 2);
    assert!(world.gateway.as_ref().unwrap().plans().status().last_failure.is_some());
}

#[test]
fn a_configmap_swaps_its_link() {
    let folder = tempfile::tempdir().unwrap();
    for (n, words) in [("1", "one"), ("2", "two")] {
        std::fs::create_dir(folder.path().join(n)).unwrap();
        std::fs::write(folder.path().join(n).join("shop.yaml"), answering(words)).unwrap();
    }
    std::os::unix::fs::symlink("1", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/shop.yaml", folder.path().join("shop.yaml")).unwrap();
    let world =
        world_with(&answering("none"), |settings| settings.house.policies = folder.path().join("shop.yaml"));
    assert_eq!(world.get("/").body, "one");
    std::os::unix::fs::symlink("2", folder.path().join("..new")).unwrap();
    std::fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
    eventually("the other one is in force", || world.get("/").body == "two");
}

#[test]
fn a_request_in_flight_is_answered_while_the_gateway_drains() {
    let web = service("web");
    let mut world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    ));
    let mut idle = world.connect();
    assert_eq!(idle.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    let mut slow = world.connect();
    slow.write("GET /slow/500 HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it has arrived", || web.hits() == 2);
    let gateway = world.gateway.take().unwrap();
    gateway.drain();
    let last = idle.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (last.status, last.header("connection")),
        (200, "close"),
        "a request on its way is the last one"
    );
    assert!(idle.is_closed());
    let answer = slow.read(true);
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    gateway.wait();
    assert!(std::net::TcpStream::connect(world.at).is_err(), "nobody listens any more");
}

#[test]
fn the_next_process_takes_the_sockets_and_no_connection_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("take-over");
    let at = |settings: &mut gateway::settings::Settings| settings.take_over = Some(socket.clone());
    let mut old = world_with(&answering("old"), at);
    let place = old.at;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let (mut asked, mut client) = (0, None::<crate::world::Client>);
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    let mut one = client.take().unwrap_or_else(|| crate::world::Client::to(place));
                    let answer = one.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                    assert_eq!(answer.status, 200, "request {asked} was lost: {answer:?}");
                    asked += 1;
                    if answer.header("connection") != "close" {
                        client = Some(one);
                    }
                }
                asked
            })
        })
        .collect();
    eventually("the socket is there", || socket.exists());
    let new = world_with(&answering("new"), |settings| {
        at(settings);
        settings.listen = vec![shell::listen::ListenAt::Tcp(place)];
    });
    eventually("the new one answers", || new.get("/").body == "new");
    old.gateway.take().unwrap().wait();
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let asked: usize = load.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(asked >= 4, "{asked} requests");
    assert_eq!(new.get("/").body, "new");
}

#[test]
fn a_reload_under_load_loses_nothing_and_each_answer_is_of_one_generation() {
    let world = world(&answering("n1"));
    let place = world.at;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stop.clone();
    let load = std::thread::spawn(move || {
        let (mut client, mut asked) = (crate::world::Client::to(place), 0);
        while !flag.load(std::sync::atomic::Ordering::SeqCst) {
            let answer = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(answer.status == 200 && answer.body.starts_with('n'), "{answer:?}");
            asked += 1;
        }
        asked
    });
    for n in 2..=20 {
        world.rewrite(&answering(&format!("n{n}")));
        eventually("it is in force", || world.generation() == n);
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(load.join().unwrap() > 20);
}

#[test]
fn each_way_back_leads_one_further_and_a_new_key_does_not_undo_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = crate::world::file(folder.path(), "secret", "a secret of more than thirty-two bytes, one");
    let with_key = format!(
        "version: 1\nidentities: {{ shop: {{ secret: {{ file: {} }}, issuer: a, audience: b }} }}\n\
         routes: [{{ name: all, path: /**, answer: {{ status: 200, body: three }} }}]\n",
        secret.display()
    );
    let world = world(&answering("one"));
    for (n, text) in [(2, answering("two")), (3, with_key)] {
        world.rewrite(&text);
        eventually("it is in force", || world.generation() == n);
    }
    let plans = world.gateway.as_ref().unwrap().plans().clone();
    plans.rollback(None).unwrap();
    assert_eq!(world.get("/").body, "two");
    std::fs::write(&secret, "a secret of more than thirty-two bytes, two").unwrap();
    plans.refresh();
    assert_eq!(world.get("/").body, "two", "a key of the document that was left is no edit");
    plans.rollback(None).unwrap();
    assert_eq!(world.get("/").body, "one");
    assert!(plans.rollback(None).is_err(), "there is nothing before the first");
}

#[test]
fn a_file_that_is_written_all_the_time_beside_the_document_delays_no_edit() {
    let world = world(&answering("one"));
    let noisy = world.folder.path().join("noisy.log");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stop.clone();
    let writer = std::thread::spawn(move || {
        while !flag.load(std::sync::atomic::Ordering::SeqCst) {
            let _ = std::fs::write(&noisy, "x");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    world.rewrite(&answering("two"));
    eventually("the edit is in force all the same", || world.get("/").body == "two");
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    writer.join().unwrap();
}

#[test]
fn a_restart_is_no_change() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = crate::world::file(folder.path(), "shop.yaml", answering("one"));
    for _ in 0..3 {
        let world = world_with(&answering("unused"), |settings| {
            settings.house.state = Some(state.path().into());
            settings.house.policies = path.clone();
        });
        assert_eq!((world.generation(), world.get("/").body.as_str()), (1, "one"));
    }
}
