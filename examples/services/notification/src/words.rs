//! The language of the templates: text, and `{{name}}` where a value goes. No more than that: who edits a template is no
//! programmer, and a mistake shall be found when it is saved and not when an order is late.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// A text that was read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Words<'t>(Vec<Piece<'t>>);

#[derive(Debug, Eq, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    Value(&'t str),
}

/// What is wrong with a text, and where.
#[derive(Debug, Eq, PartialEq, Serialize, ToSchema)]
pub(crate) struct Mistake {
    /// From 1.
    pub(crate) line: usize,
    /// In letters, from 1.
    pub(crate) column: usize,
    pub(crate) why: String,
}

/// The values of an event, by their names.
pub(crate) type Values = BTreeMap<&'static str, String>;

impl<'t> Words<'t> {
    /// Reads it. Only the values named here may be in it.
    pub(crate) fn read(text: &'t str, known: &[&str]) -> Result<Self, Mistake> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("{{") {
            let open = at + found;
            plain(text, at, open)?;
            pieces.push(Piece::Text(&text[at..open]));
            let inside = open + 2;
            let Some(length) = text[inside..].find("}}") else {
                return Err(Mistake::at(text, open, "this is never closed; write {{name}}".to_owned()));
            };
            let name = text[inside..inside + length].trim();
            if !known.contains(&name) {
                let why = format!("there is no '{name}' here; there are {}", known.join(", "));
                return Err(Mistake::at(text, open, why));
            }
            pieces.push(Piece::Value(name));
            at = inside + length + 2;
        }
        plain(text, at, text.len())?;
        pieces.push(Piece::Text(&text[at..]));
        Ok(Self(pieces))
    }

    /// The text with the values in their places. What an event did not say is left out.
    pub(crate) fn with(&self, values: &Values) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => *text,
            Piece::Value(name) => values.get(name).map_or("", String::as_str),
        });
        pieces.collect()
    }
}

impl Mistake {
    fn at(text: &str, place: usize, why: String) -> Self {
        let before = &text[..place];
        let start_of_line = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[start_of_line..].chars().count() + 1,
            why,
        }
    }
}

/// Between the values nothing may be closed that was not opened: it is a slip of the one who wrote it.
fn plain(text: &str, from: usize, to: usize) -> Result<(), Mistake> {
    match text[from..to].find("}}") {
        Some(found) => Err(Mistake::at(text, from + found, "this closes nothing".to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Values, Words};
    use proptest::prelude::proptest;

    const KNOWN: [&str; 2] = ["name", "total"];

    fn said(text: &str) -> Result<String, (usize, usize, String)> {
        let values = Values::from([("name", "Ada".to_owned()), ("total", "{{name}}".to_owned())]);
        Words::read(text, &KNOWN)
            .map(|words| words.with(&values))
            .map_err(|mistake| (mistake.line, mistake.column, mistake.why))
    }

    #[test]
    fn values_go_where_their_names_are() {
        for (text, expected) in [
            ("", ""),
            ("no values", "no values"),
            ("Hello {{name}}!", "Hello Ada!"),
            ("{{name}}{{ name }}", "AdaAda"),
            ("one { and } is text", "one { and } is text"),
            ("a value is not read again: {{total}}", "a value is not read again: {{name}}"),
        ] {
            assert_eq!(said(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, line, column, why) in [
            ("Hello {{nmae}}", 1, 7, "there is no 'nmae' here; there are name, total"),
            ("{{}}", 1, 1, "there is no '' here; there are name, total"),
            ("a\nüü {{name", 2, 4, "this is never closed; write {{name}}"),
            ("{{name}} }}", 1, 10, "this closes nothing"),
            ("x }} {{name}}", 1, 3, "this closes nothing"),
            ("{{ {{name}}", 1, 1, "there is no '{{name' here; there are name, total"),
        ] {
            assert_eq!(said(text), Err((line, column, why.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_was_not_said_is_left_out() {
        let words = Words::read("Hello {{name}}!", &KNOWN).unwrap();
        assert_eq!(words.with(&Values::new()), "Hello !");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-zü\n {}]{0,40}") {
            let _ = said(&text);
        }

        #[test]
        fn text_without_braces_is_said_as_it_is(text in "[^{}]{0,40}") {
            assert_eq!(said(&text), Ok(text));
        }
    }
}
