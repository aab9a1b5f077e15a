//! Any text is a document or an error that can be shown; and a document that loads can be described and compared.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::describe::{diff, effective};
use policies::document::{Document, Source};

fuzz_target!(|text: &str| {
    match Document::load(&[Source::new("fuzz.yaml", text)]) {
        Ok(document) => {
            let _ = effective(&document);
            assert!(diff(&document, &document).is_empty());
        }
        Err(error) => {
            assert!(!error.problems().is_empty());
            assert!(!error.to_string().is_empty());
        }
    }
});
