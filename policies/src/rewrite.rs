//! Path edits as data: what a route does to the path on its way to the target.

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
    /// It does not begin with a slash.
    #[error("a path begins with `/`")]
    NoSlash,
    /// A brace is open, closed or empty where it should not be.
    #[error("a parameter stands in braces, as in /v2/orders/{{id}}")]
    Braces,
}

impl Template {
    /// Reads `/v2/orders/{id}`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.starts_with('/') {
            return Err(TemplateError::NoSlash);
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
}
