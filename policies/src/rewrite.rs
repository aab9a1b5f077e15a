//! Path edits as data: what a route does to the path on its way to the target, and where a redirect leads.

use std::borrow::Cow;

/// What happens to the path of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathEdit {
    /// Another beginning: the first is taken off where it is there, the second is put on.
    Prefix {
        /// Taken off, at a segment's end.
        strip: String,
        /// Put on.
        add: String,
    },
    /// Another path altogether.
    Whole(Template),
}

impl PathEdit {
    /// The path for the target.
    pub fn apply<'p>(&self, path: &'p str, parameter: impl Fn(&str) -> Option<&'p str>) -> Cow<'p, str> {
        match self {
            Self::Whole(template) => Cow::Owned(template.fill(parameter)),
            Self::Prefix { strip, add } => {
                let rest =
                    path.strip_prefix(strip.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
                let rest = rest.unwrap_or(path);
                match (add.is_empty(), rest.is_empty()) {
                    (true, true) => Cow::Borrowed("/"),
                    (true, false) => Cow::Borrowed(rest),
                    (false, _) => Cow::Owned([add, rest].concat()),
                }
            }
        }
    }
}

/// A path with parameters to fill in: `/v2/orders/{id}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Parameter(String),
    Text(String),
}

/// Why a template cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// A brace is open, closed or empty where it should not be.
    #[error("a parameter stands in braces, as in /v2/orders/{{id}}")]
    Braces,
    /// It does not begin with a slash.
    #[error("a path begins with `/`")]
    NoSlash,
    /// It holds characters that no path can hold as they are.
    #[error("a path holds no spaces, controls, `?`, `#` or letters beyond ASCII: write them as %20")]
    Unfit,
}

impl Template {
    /// Reads `/v2/orders/{id}`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.starts_with('/') {
            return Err(TemplateError::NoSlash);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\')) {
            return Err(TemplateError::Unfit);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateError::Braces)?;
            if name.is_empty() || name.contains(['{', '/']) || before.contains('}') {
                return Err(TemplateError::Braces);
            }
            parts.push(Part::Text(before.into()));
            parts.push(Part::Parameter(name.into()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(TemplateError::Braces);
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self { parts })
    }

    /// The names of the parameters it needs.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The path, with its parameters filled in; one that is not known is left empty.
    pub fn fill<'p>(&self, parameter: impl Fn(&str) -> Option<&'p str>) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Parameter(name) => parameter(name).unwrap_or_default(),
                Part::Text(text) => text,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_takes_what_the_route_found() {
        let template = Template::parse("/v2/orders/{id}/lines").unwrap();
        assert_eq!(template.fill(|name| (name == "id").then_some("42")), "/v2/orders/42/lines");
        assert_eq!(template.parameters().collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, error) in [
            ("orders", TemplateError::NoSlash),
            ("/{id", TemplateError::Braces),
            ("/id}", TemplateError::Braces),
            ("/{}", TemplateError::Braces),
            ("/{a{b}}", TemplateError::Braces),
            ("/a b", TemplateError::Unfit),
            ("/a?b", TemplateError::Unfit),
            ("/a\\b", TemplateError::Unfit),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let edit = |strip: &str, add: &str, path: &str| {
            PathEdit::Prefix { strip: strip.into(), add: add.into() }.apply(path, |_| None).into_owned()
        };
        assert_eq!(edit("/api", "", "/api/orders"), "/orders");
        assert_eq!(edit("/api", "", "/api"), "/");
        assert_eq!(edit("/api", "", "/apiary"), "/apiary");
        assert_eq!(edit("/api", "/v2", "/api/orders"), "/v2/orders");
        assert_eq!(edit("", "/v2", "/orders"), "/v2/orders");
    }
}
