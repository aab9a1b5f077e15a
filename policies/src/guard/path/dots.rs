//! Walking out the dots: RFC 3986 §5.2.4, and what other servers might walk that we would not.

use super::{PathRules, Separators, Slashes};
use crate::guard::refusal::Refusal;
use crate::verdict::Denial;

/// The path without dot segments and, as the rules say, without doubled slashes. `None` if there was nothing to do.
pub(super) fn resolve(path: &str, rules: &PathRules) -> Result<Option<String>, Refusal> {
    if is_settled(path, rules) {
        return Ok(None);
    }
    let mut out = String::with_capacity(path.len());
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let place = if segments.peek().is_some() { Place::Inner } else { Place::Last };
        step(&mut out, segment, place, rules)?;
    }
    Ok((out != path).then_some(out))
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Inner,
    Last,
}

/// Most paths need no walk: nothing in them stands after a slash that could be one.
fn is_settled(path: &str, rules: &PathRules) -> bool {
    let bytes = path.as_bytes();
    let walks = bytes.iter().zip(bytes.iter().skip(1)).any(|pair| matches!(pair, (b'/', b'.' | b'/' | b';')))
        || (bytes.contains(&b'%') && path.contains("/%3B"));
    let kept = rules.separators == Separators::Keep && bytes.iter().any(|byte| matches!(byte, b'\\' | b'%'));
    !walks && !kept
}

/// `out` holds the segments so far, each with the slash before it.
fn step(out: &mut String, segment: &str, place: Place, rules: &PathRules) -> Result<(), Refusal> {
    match (segment, place) {
        ("..", _) => {
            let parent = out.rfind('/').ok_or(bad("the path climbs above its root"))?;
            out.truncate(parent);
            close(out, place);
        }
        (".", _) => close(out, place),
        ("", Place::Last) => close(out, place),
        ("", Place::Inner) => match rules.slashes {
            Slashes::Keep => out.push('/'),
            Slashes::Merge => {}
            Slashes::Refuse => return Err(bad("the path has two slashes in a row")),
        },
        _ => {
            no_hidden_dots(segment, place)?;
            out.push('/');
            out.push_str(segment);
        }
    }
    Ok(())
}

/// A path that ends in a dot segment names a directory.
fn close(out: &mut String, place: Place) {
    if place == Place::Last {
        out.push('/');
    }
}

/// Refuses a segment that is a dot segment, or nothing at all, to a server that drops parameters (`..;x`), decodes
/// the slash (`..%2Fx`) or takes a backslash for one.
fn no_hidden_dots(segment: &str, place: Place) -> Result<(), Refusal> {
    if !segment.bytes().any(|byte| matches!(byte, b'%' | b';' | b'\\')) {
        return Ok(());
    }
    let mut pieces =
        segment.split('\\').flat_map(|piece| piece.split("%2F")).flat_map(|piece| piece.split("%5C"));
    if pieces.any(|piece| matches!(without_parameters(piece), "." | "..")) {
        return Err(bad("another server could read a segment of the path as a dot segment"));
    }
    if place == Place::Inner && without_parameters(segment).is_empty() {
        return Err(bad("a segment of the path is nothing but parameters"));
    }
    Ok(())
}

fn without_parameters(piece: &str) -> &str {
    let piece = piece.split(';').next().unwrap_or_default();
    piece.split("%3B").next().unwrap_or_default()
}

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadPath, because)
}
