//! What is generated and checked in: the JSON Schema, the manual, the table of denials. `make golden` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(clippy::disallowed_methods, reason = "generated documents are files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use policies::describe::used_settings;
use policies::document::{Document, Source, manual, schema};
use policies::verdict::{Denial, Fault, Row};

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The file says what the code says; or, when asked, is made to.
fn check(path: &str, generated: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(at(path), generated).unwrap();
    }
    let checked_in = std::fs::read_to_string(at(path)).unwrap_or_default();
    assert!(checked_in == generated, "{path} is out of date: run `make golden` and read the diff");
}

/// For each setting the golden document that shows it; of several, the one that shows fewest others.
fn examples() -> BTreeMap<String, String> {
    let mut shown: Vec<(BTreeSet<String>, String)> = Vec::new();
    for entry in std::fs::read_dir(at("policies/tests/golden")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("\n-----").next().unwrap_or_default();
        if let Ok(document) = Document::load(&[Source::new("golden", text)]) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            shown.push((used_settings(&document), format!("../policies/tests/golden/{name}")));
        }
    }
    shown.sort_by_key(|(settings, file)| (std::cmp::Reverse(settings.len()), file.clone()));
    shown
        .into_iter()
        .flat_map(|(settings, file)| settings.into_iter().map(move |setting| (setting, file.clone())))
        .collect()
}

#[test]
fn the_schema_is_the_types() {
    check("policies/schema.json", &schema());
}

#[test]
fn the_manual_is_the_doc_comments() {
    let examples = examples();
    check("docs/configuration.md", &manual(|setting| examples.get(setting).cloned()));
}

#[test]
fn the_list_of_denials_is_the_table() {
    let mut out = String::from(
        "# Denials and faults\n\nMade from the table in `policies/src/verdict.rs`; do not edit. The slug stands in the answer, \
         in the log, in the metrics and here.\n\nA *denial* is policy saying no: a normal answer. A *fault* is the world failing.\n",
    );
    let denials: Vec<Row> = Denial::ALL.iter().map(|denial| denial.row()).collect();
    let faults: Vec<Row> = Fault::ALL.iter().map(|fault| fault.row()).collect();
    for (title, rows) in [("Denials", denials), ("Faults", faults)] {
        let _ = write!(
            out,
            "\n## {title}\n\n| slug | status | gRPC | whose fault | again? | what the caller is told |\n|---|---|---|---|---|---|\n"
        );
        for row in rows {
            let _ = writeln!(
                out,
                "| `{}` | {} | {:?} ({}) | {:?} | {:?} | {} |",
                row.slug,
                row.status.as_u16(),
                row.grpc,
                row.grpc as u8,
                row.blame,
                row.again,
                row.says
            );
        }
    }
    check("docs/denials.md", &out);
}
