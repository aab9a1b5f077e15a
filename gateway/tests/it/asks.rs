//! An operator asks a running gateway with the program itself: why, and back to the document before.

use std::process::{Command, Output};

use crate::world::{World, eventually, file, world, world_with};

const DOCUMENT: &str = "version: 1\nroutes: [{ name: all, path: /**, answer: { status: 200, body: one } }]\n";

fn banyan(world: &World, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_banyan-gateway"))
        .args(arguments)
        // As in the container that the gateway itself runs in.
        .env("BANYAN_POLICIES", world.document())
        .output()
        .unwrap()
}

fn admin(world: &World) -> String {
    format!("http://{}", world.gateway.as_ref().unwrap().admin())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_running_gateway_explains_by_its_own_generation_wherever_the_document_is_named() {
    let world = world(DOCUMENT);
    let question = ["explain", "GET", "http://shop.example/x"];
    let running = banyan(&world, &[&question[..], &["--admin", &admin(&world)]].concat());
    let said = text(&running.stdout);
    assert!(said.contains("under generation 1") && said.contains("is answered here: 200"), "{running:?}");
    let offline = banyan(&world, &question);
    assert!(text(&offline.stdout).contains("under generation 0"), "{offline:?}");
}

#[test]
fn assumed_claims_are_refused_where_they_would_not_be_heard() {
    let world = world(DOCUMENT);
    let claims = file(world.folder.path(), "claims.json", "{}").display().to_string();
    let output =
        banyan(&world, &["explain", "GET", "http://a/x", "--claims", &claims, "--admin", &admin(&world)]);
    assert!(
        !output.status.success() && text(&output.stderr).contains("'--claims <FILE>' cannot"),
        "{output:?}"
    );
}

#[test]
fn the_way_back_is_a_command_and_it_needs_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = file(folder.path(), "token", "a long secret\n");
    let guess = file(folder.path(), "guess", "a long guess\n").display().to_string();
    let world = world_with(DOCUMENT, |settings| settings.house.admin_token_file = Some(token.clone()));
    world.rewrite(&DOCUMENT.replace("one", "two"));
    eventually("it is in force", || world.get("/").body == "two");
    let back = |token: &str| {
        banyan(&world, &["rollback", "--to", "1", "--admin", &admin(&world), "--admin-token-file", token])
    };
    let refused = back(&guess);
    assert!(!refused.status.success() && text(&refused.stderr).contains("Bearer"), "{refused:?}");
    assert_eq!(world.get("/").body, "two");
    let done = back(&token.display().to_string());
    assert!(done.status.success() && text(&done.stdout).contains("\"generation\": 3"), "{done:?}");
    assert_eq!(world.get("/").body, "one");
}

#[test]
fn an_admin_address_that_is_none_is_told_as_such() {
    let world = world(DOCUMENT);
    let output = banyan(&world, &["explain", "GET", "http://a/x", "--admin", "https://127.0.0.1:1"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("plain HTTP"), "{said}");
}
