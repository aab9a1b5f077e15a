//! What is generated and checked in: the JSON Schema, the manual, the table of denials. `make golden` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(clippy::disallowed_methods, reason = "generated documents are files")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use policies::document::{manual, schema};
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

/// The first golden document that shows a setting's key where it would stand.
fn example(setting: &str) -> Option<String> {
    let (section, key) = setting.split_once('.')?;
    let (key, block) = (format!("{key}:"), format!("{section}:"));
    let mut files: Vec<_> = std::fs::read_dir(at("policies/tests/golden"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let shows = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let document = text.split("-----").next().unwrap_or_default().to_owned();
        let top = ["document", "target", "route", "identity", "profile", "inbound", "call", "service"]
            .contains(&section);
        document.contains(&key)
            && (top || document.contains(&block))
            && !path.to_string_lossy().contains("errors")
    };
    let found = files.into_iter().find(shows)?;
    Some(format!("../policies/tests/golden/{}", found.file_name()?.to_string_lossy()))
}

#[test]
fn the_schema_is_the_types() {
    check("policies/schema.json", &schema());
}

#[test]
fn the_manual_is_the_doc_comments() {
    check("docs/configuration.md", &manual(example));
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
