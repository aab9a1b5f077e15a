//! What the normaliser lets through is normal, no longer than what came in, and cannot climb or be read in two ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::guard::path::normalise;
use policies::guard::{PathRules, Separators, Slashes};

fuzz_target!(|path: &str| {
    let strict = PathRules::default();
    if let Ok(normal) = normalise(path, &strict) {
        assert!(normal.starts_with('/') && normal.len() <= path.len().max(1));
        assert!(!normal.contains("//") && !normal.contains('\\') && normal.is_ascii());
        assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
        assert_eq!(normalise(&normal, &strict).as_deref(), Ok(&*normal));
    }
    let lax = PathRules { separators: Separators::Keep, slashes: Slashes::Keep, ..strict };
    if let Ok(normal) = normalise(path, &lax) {
        assert_eq!(normalise(&normal, &lax).as_deref(), Ok(&*normal));
    }
});
