//! What stays in force, whatever happens to the files; and what a restart finds. Nobody watches here: each look is asked for.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use policies::state::Room;

use super::*;

fn answering(words: &str) -> String {
    format!("version: 1\nroutes: [{{ name: all, path: /**, answer: {{ status: 200, body: {words} }} }}]\n")
}

/// A document that cannot be compiled unless this file is there.
fn with_secret(path: &Path) -> String {
    format!(
        "version: 1\nidentities: {{ shop: {{ secret: {{ file: {} }}, issuer: a, audience: b }} }}\n\
         routes: [{{ name: all, path: /**, require: {{ jwt: shop }}, answer: {{ status: 200, body: secret }} }}]\n",
        path.display()
    )
}

fn start_with(folder: &Path, prepare: Prepare) -> Result<Plans, LoadError> {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    Plans::load(&folder.join("shop.yaml"), Some(&folder.join("state")), living, prepare)
}

fn start(folder: &Path) -> Plans {
    start_with(folder, Box::new(|_| Ok(Box::new(|| {})))).unwrap()
}

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("shop.yaml"), text).unwrap();
}

/// What the document in force says, in its own words.
fn says(plans: &Plans, words: &str) -> bool {
    plans.story().history.last().unwrap().sources.iter().any(|source| source.text.contains(words))
}

#[test]
fn a_document_that_is_half_written_or_gone_leaves_the_last_good_one_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, &answering("one"));
    let plans = start(folder);
    let whole = answering("two");
    write(folder, &whole[..whole.len() / 2]);
    plans.refresh();
    assert_eq!((plans.status().generation, plans.status().failures), (1, 1));
    std::fs::remove_file(folder.join("shop.yaml")).unwrap();
    plans.refresh();
    plans.refresh();
    assert_eq!((plans.status().generation, plans.status().failures), (1, 2), "each is told once");
    write(folder, &whole);
    plans.refresh();
    assert_eq!(plans.status().generation, 2);
    assert!(plans.status().last_failure.is_none() && says(&plans, "two"));
}

#[test]
fn a_plan_that_cannot_be_prepared_is_refused_and_nothing_of_it_applied() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, &answering("one"));
    let applied = Arc::new(AtomicUsize::new(0));
    let count = applied.clone();
    let plans = start_with(
        folder,
        Box::new(move |plan| {
            if plan.generation > 1 {
                return Err(vec!["no such authority".into()]);
            }
            let count = count.clone();
            Ok(Box::new(move || {
                count.fetch_add(1, Ordering::SeqCst);
            }))
        }),
    )
    .unwrap();
    write(folder, &answering("two"));
    plans.refresh();
    assert_eq!((plans.current().generation, applied.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(plans.status().last_failure.unwrap().problems, "no such authority");
}

#[test]
fn what_cannot_be_read_of_an_earlier_run_costs_neither_the_others_nor_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let state = folder.join("state");
    std::fs::create_dir(&state).unwrap();
    for number in 30..30 + KEPT {
        std::fs::write(state.join(format!("{number:020}.json")), "{ \"generation\": 3").unwrap();
    }
    write(folder, &answering("one"));
    assert_eq!(start(folder).status().generation, 50, "it goes on after all that were there");
    write(folder, "version: 2\n");
    assert!(says(&start(folder), "one"), "what was kept is there after a restart");
}

#[test]
fn a_restart_goes_back_as_far_as_it_must() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let secret = folder.join("secret");
    std::fs::write(&secret, "a secret that is long enough for a signature").unwrap();
    write(folder, &answering("one"));
    let plans = start(folder);
    write(folder, &with_secret(&secret));
    plans.refresh();
    assert_eq!(plans.status().generation, 2, "{:?}", plans.status().last_failure);
    drop(plans);
    std::fs::remove_file(&secret).unwrap();
    let plans = start(folder);
    assert!(says(&plans, "one"), "the last one is no good without its secret");
    assert_eq!(plans.status().generation, 3, "what is in force is not what had the number 2");
    assert!(plans.status().last_failure.is_some());
    assert!(plans.rollback(None).is_err(), "there is nothing before the first");
    std::fs::write(&secret, "a secret that is long enough for a signature").unwrap();
    plans.refresh();
    assert!(plans.status().last_failure.is_none() && says(&plans, "secret"));
}

#[test]
fn the_way_back_from_a_fallback_leads_to_another_document() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, &answering("one"));
    let plans = start(folder);
    write(folder, &answering("two"));
    plans.refresh();
    drop(plans);
    write(folder, "version: 2\n");
    let plans = start(folder);
    assert!(says(&plans, "two"));
    plans.rollback(None).unwrap();
    assert!(says(&plans, "one"));
}

#[test]
fn what_was_kept_before_it_said_whose_text_it_has_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let kept = serde_json::json!({ "generation": 7, "since": 1, "words": "", "files": [["a.yaml", answering("one")]] });
    std::fs::write(folder.path().join("00000000000000000007.json"), kept.to_string()).unwrap();
    std::fs::write(folder.path().join("notes.json"), "of somebody else").unwrap();
    let left = history::read(folder.path());
    assert_eq!((left.next, left.kept.len()), (8, 1));
    assert_eq!(left.kept.first().unwrap().of, 7);
}
