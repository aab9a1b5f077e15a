//! What the free segments of a path said.

use smallvec::SmallVec;

use super::path::{End, Segment};

/// The parameters of a matched path, in the order of the path. Values are slices of the normalised path, still
/// escaped. Up to four need no allocation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Params<'r>(SmallVec<[(&'r str, &'r str); 4]>);

impl<'r> Params<'r> {
    /// The value of one.
    pub fn value(&self, name: &str) -> Option<&'r str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All of them, name first.
    pub fn iter(&self) -> impl Iterator<Item = (&'r str, &'r str)> + '_ {
        self.0.iter().copied()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Which segments of one path pattern are remembered, and under which names. Reading them off after the match
/// keeps the search free of bookkeeping for candidates that lose.
#[derive(Clone, Debug)]
pub(super) struct Captures {
    segments: Box<[Option<Box<str>>]>,
    rest: Option<Box<str>>,
}

impl Captures {
    /// Of this pattern; nothing if it has no named part.
    pub(super) fn of(segments: &[Segment], end: &End) -> Option<Self> {
        let names = segments.iter().map(|segment| segment.name().map(Box::from)).collect::<Box<[_]>>();
        let rest = match end {
            End::Closed => None,
            End::Open(name) => name.clone(),
        };
        let named = rest.is_some() || names.iter().any(Option::is_some);
        named.then_some(Self { segments: names, rest })
    }

    /// Reads them off a path that matched the pattern.
    pub(super) fn read<'r>(&'r self, path: &'r str) -> Params<'r> {
        let mut params = Params::default();
        let mut rest = path.strip_prefix('/');
        for name in &self.segments {
            let Some((segment, further)) = rest.map(cut) else { break };
            params.0.extend(name.as_ref().map(|name| (&**name, segment)));
            rest = further;
        }
        params.0.extend(self.rest.as_ref().map(|name| (&**name, rest.unwrap_or_default())));
        params
    }
}

/// The first segment, and what follows its slash if it has one.
pub(super) fn cut(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('/') {
        Some((segment, further)) => (segment, Some(further)),
        None => (rest, None),
    }
}
