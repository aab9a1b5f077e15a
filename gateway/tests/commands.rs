//! The commands as an operator uses them: real files, the real program, its words and its exit code.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn banyan(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_banyan-gateway")).args(arguments).output().unwrap()
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/examples").join(name).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("routes")).unwrap();
    folder
}

#[test]
fn a_good_document_is_checked_and_its_order_shown() {
    let output = banyan(&["check", &example("strangler.yaml")]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.starts_with("good: 2 routes, 2 targets"), "{said}");
    let (orders, rest) = (said.find("orders: ").unwrap(), said.find("everything-else: ").unwrap());
    assert!(orders < rest, "the most specific first, whatever the order: {said}");
}

#[test]
fn the_routes_of_a_sidecar_are_shown_door_by_door() {
    let output = banyan(&["check", &example("sidecar.yaml")]);
    let said = text(&output.stdout);
    assert!(said.contains("inbound ") && said.contains(" calls; "), "{said}");
}

#[test]
fn a_directory_is_one_document_and_every_problem_names_its_file() {
    let folder = folder("problems");
    std::fs::write(folder.join("targets.yaml"), "version: 1\ntargets: { shop: { url: http://shop } }\n")
        .unwrap();
    std::fs::write(folder.join("routes/a.yaml"), "version: 1\nroutes: [{ name: a, to: shopp }]\n").unwrap();
    std::fs::write(
        folder.join("routes/b.yml"),
        "version: 1\nroutes: [{ name: b, path: /b, to: shop, deadline: 3 }]\n",
    )
    .unwrap();
    std::fs::write(folder.join(".hidden.yaml"), "not: read\n").unwrap();
    let output = banyan(&["check", &folder.display().to_string()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for expected in [
        "a.yaml:2:25",
        "did you mean `shop`?",
        "b.yml:2:",
        "`3` has no unit",
        "2 problems; nothing was loaded",
    ] {
        assert!(said.contains(expected), "{expected} in:\n{said}");
    }
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let output = banyan(&["check", "/nowhere/shop.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/shop.yaml: "), "{}", text(&output.stderr));
}

#[test]
fn a_difference_is_told_in_words() {
    let output = banyan(&["diff", &example("five-percent.yaml"), &example("strangler.yaml")]);
    let said = text(&output.stdout);
    assert!(output.status.success());
    assert!(said.contains("route orders: migrate.share (was 5%) is removed"), "{said}");
    assert!(said.contains("route orders: deadline changes from 30s (default) to 3s"), "{said}");
}

#[test]
fn the_schema_and_the_settings_are_printed() {
    assert!(text(&banyan(&["schema"]).stdout).starts_with("{\n"));
    let said = text(&banyan(&["settings", &example("five-percent.yaml")]).stdout);
    assert!(said.contains("route orders: retry.backoff = 25ms  (default)"), "{said}");
}
