//! The rules of the house that no compiler keeps: what `policies` may know, which way imports point, what every
//! file opens with, which licences and crates come in.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(clippy::disallowed_methods, reason = "a test of files reads files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// Crates that touch the world. None may be in the normal dependency tree of `policies`.
const WORLDLY: &[&str] = &[
    "async-io",
    "async-std",
    "curl",
    "h2",
    "hickory-resolver",
    "hyper",
    "hyper-util",
    "mio",
    "native-tls",
    "notify",
    "openssl",
    "pingora",
    "pingora-core",
    "pingora-http",
    "pingora-proxy",
    "polling",
    "quinn",
    "redis",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tonic",
    "tower",
    "ureq",
];

/// Crates nobody in the workspace may bring in: a second TLS or crypto library beside rustls and ring.
const UNWANTED: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "boring", "boring-sys", "native-tls", "openssl", "openssl-sys"];

/// Licences that go with Apache-2.0. One of the alternatives of a crate must be here.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).other_options(["--locked".into()]).exec().unwrap()
}

fn package<'m>(metadata: &'m Metadata, id: &PackageId) -> &'m Package {
    metadata.packages.iter().find(|package| package.id == *id).unwrap()
}

/// All packages that `root` is built from, without those of its tests.
fn built_from(metadata: &Metadata, root: &str) -> BTreeSet<String> {
    let nodes: BTreeMap<_, _> =
        metadata.resolve.as_ref().unwrap().nodes.iter().map(|node| (&node.id, node)).collect();
    let root = metadata.packages.iter().find(|package| package.name.as_str() == root).unwrap();
    let mut waiting = vec![&root.id];
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        names.insert(package(metadata, id).name.to_string());
        let normal = |kinds: &[cargo_metadata::DepKindInfo]| {
            kinds.iter().any(|kind| {
                let loom = kind.target.as_ref().is_some_and(|target| target.to_string().contains("loom"));
                kind.kind == DependencyKind::Normal && !loom
            })
        };
        waiting.extend(nodes[id].deps.iter().filter(|dep| normal(&dep.dep_kinds)).map(|dep| &dep.pkg));
    }
    names
}

#[test]
fn policies_knows_nothing_that_touches_the_world() {
    let known = built_from(&metadata(), "banyan-policies");
    assert!(known.contains("http"), "the walk over the dependencies finds none: {known:?}");
    let worldly: Vec<_> = WORLDLY.iter().filter(|name| known.contains(**name)).collect();
    assert!(worldly.is_empty(), "policies decides and touches nothing, but is built from {worldly:?}");
}

#[test]
fn gateway_and_sidecar_never_know_each_other() {
    let metadata = metadata();
    assert!(!built_from(&metadata, "banyan-gateway").contains("banyan-sidecar"));
    assert!(!built_from(&metadata, "banyan-sidecar").contains("banyan-gateway"));
}

#[test]
fn what_both_proxies_share_knows_neither_and_no_engine() {
    let known = built_from(&metadata(), "banyan-shell");
    let engines = ["banyan-gateway", "banyan-sidecar", "pingora", "pingora-core", "tower"];
    let found: Vec<_> = engines.iter().filter(|name| known.contains(**name)).collect();
    assert!(found.is_empty(), "the shell is built from {found:?}");
}

#[test]
fn one_crypto_library() {
    let metadata = metadata();
    let found: Vec<_> = metadata.packages.iter().filter(|p| UNWANTED.contains(&p.name.as_str())).collect();
    assert!(
        found.is_empty(),
        "ring is the one provider, but there is {:?}",
        found.iter().map(|p| &p.name).collect::<Vec<_>>()
    );
}

#[test]
fn every_licence_goes_with_ours() {
    let metadata = metadata();
    let fits = |licence: &str| {
        let bare = licence.replace(['(', ')'], "");
        let all_of = |terms: &str| terms.split(" AND ").all(|term| LICENCES.contains(&term.trim()));
        bare.split(" OR ").flat_map(|terms| terms.split('/')).any(all_of)
    };
    let strange: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(fits))
        .map(|package| format!("{}: {:?}", package.name, package.license))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn crates_come_from_the_registry_and_nowhere_else() {
    let metadata = metadata();
    let elsewhere =
        |p: &&Package| p.source.as_ref().is_some_and(|source| !source.repr.starts_with("registry+"));
    let strange: Vec<_> = metadata.packages.iter().filter(elsewhere).map(|package| &package.name).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "shell/src", "../gateway/src", "../sidecar/src"] {
        walk(&root.join(folder), &mut found);
    }
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The lines of code, remarks left out.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().contains("tests"))
}

#[test]
fn every_file_has_a_sign_on_the_door() {
    let bare: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(bare.is_empty(), "these files do not say what they are for: {bare:#?}");
}

#[test]
fn policies_waits_for_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with(&root) && !is_test(path)) {
        let waits = code(text)
            .find(|line| ["async fn", "async move", "async {", ".await"].iter().any(|w| line.contains(w)));
        assert_eq!(waits, None, "{}", path.display());
    }
}

#[test]
fn imports_point_down_the_list_in_lib_rs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = std::fs::read_to_string(root.join("lib.rs")).unwrap();
    let order: Vec<_> = code(&lib)
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .filter_map(|line| line.strip_suffix(';'))
        .collect();
    let place = |name: &str| order.iter().position(|module| *module == name);
    let mut upward = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with(&root) && !is_test(path)) {
        let first = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_string_lossy().into_owned();
        let Some(own) = place(first.trim_end_matches(".rs")) else { continue };
        for line in code(text) {
            for used in line.split("crate::").skip(1) {
                let end = used.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(used.len());
                if place(&used[..end]).is_some_and(|used| used < own) {
                    upward.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(order.len() > 10, "{order:?}");
    assert!(upward.is_empty(), "a module may use only those listed after it in lib.rs: {upward:#?}");
}

#[test]
fn shells_choose_no_status_and_compare_no_header() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, text) in sources().iter().filter(|(path, _)| !path.starts_with(&root) && !is_test(path)) {
        let rule = code(text).find(|line| line.contains("StatusCode::"));
        assert_eq!(rule, None, "a status is chosen in policies, not in {}", path.display());
    }
}
