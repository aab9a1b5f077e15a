//! Golden documents: what each setting means, and what is said when it is wrong.
//!
//! Each file in `golden/` is a document, a line of dashes, and what comes out: every setting in effect, or every problem.
//! `make golden` writes the second half anew; read the diff.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(clippy::disallowed_methods, reason = "golden documents are files")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use policies::describe::{effective, used_settings};
use policies::document::{Document, Source, settings};

const RULE: &str = "----------------------------------------\n";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The document's half of a golden file.
fn input(path: &Path) -> (String, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let (input, expected) = text.split_once(RULE).unwrap_or((&text, ""));
    (input.to_owned(), expected.to_owned())
}

fn outcome(name: &str, text: &str) -> String {
    match Document::load(&[Source::new(name, text)]) {
        Err(error) => format!("{error}\n"),
        Ok(document) => effective(&document).iter().fold(String::new(), |mut all, setting| {
            let _ = writeln!(all, "{setting}");
            all
        }),
    }
}

#[test]
fn every_document_means_what_is_written_below_it() {
    let mut wrong = Vec::new();
    for path in files(&folder("tests/golden")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned() + ".yaml";
        let (text, expected) = input(&path);
        let found = outcome(&name, &text);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, format!("{text}{RULE}{found}")).unwrap();
        } else if found != expected {
            wrong.push(format!("{}\nexpected:\n{expected}\nfound:\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_setting_has_a_golden_document() {
    let mut shown = BTreeSet::new();
    for path in files(&folder("tests/golden")) {
        let (text, _) = input(&path);
        if let Ok(document) = Document::load(&[Source::new("x", text)]) {
            shown.extend(used_settings(&document));
        }
    }
    // The one key that is only there to be refused with a clear word.
    shown.insert("profile.use".to_owned());
    let missing: Vec<_> = settings().into_iter().filter(|setting| !shown.contains(setting)).collect();
    assert!(missing.is_empty(), "no golden document shows {missing:#?}");
}

#[test]
fn the_examples_load() {
    let examples = files(&folder("examples"));
    assert!(examples.len() >= 6);
    for path in examples {
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = Document::load(&[Source::new(path.display().to_string(), text)]);
        assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    }
}

/// The task of the landscape's comparison: 5 % of the orders to the new service, a token, 100 requests a second for each
/// user, three attempts within a budget, a breaker at half. Peers need 42 to 116 lines for less.
#[test]
fn the_usual_task_takes_no_more_than_25_lines() {
    let text = std::fs::read_to_string(folder("examples/five-percent.yaml")).unwrap();
    let lines =
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).count();
    assert!(lines <= 25, "{lines} lines");
}
