//! What the proxies count, read from their pages for Prometheus.

use std::collections::BTreeMap;

/// One number with its name and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// All numbers of a page.
#[derive(Clone, Debug, Default)]
pub struct Page(Vec<Sample>);

impl Page {
    /// Reads a page. What is no sample is left out.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The samples of this name whose labels fit.
    pub fn samples<'p>(
        &'p self,
        name: &'p str,
        fits: impl Fn(&Sample) -> bool + 'p,
    ) -> impl Iterator<Item = &'p Sample> {
        self.0.iter().filter(move |sample| sample.name == name && fits(sample))
    }

    /// Their sum.
    pub fn sum(&self, name: &str, fits: impl Fn(&Sample) -> bool) -> f64 {
        self.samples(name, fits).map(|sample| sample.value).sum()
    }

    /// What was counted since `before`, by the upper bound of a histogram's buckets.
    pub fn buckets_since(&self, before: &Self, name: &str, fits: impl Fn(&Sample) -> bool) -> Buckets {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (page, sign) in [(self, 1.0), (before, -1.0)] {
            for sample in page.samples(&format!("{name}_bucket"), &fits) {
                let Ok(bound) = sample.label("le").replace("+Inf", "inf").parse::<f64>() else { continue };
                match buckets.iter_mut().find(|(known, _)| *known == bound) {
                    Some((_, count)) => *count += sign * sample.value,
                    None => buckets.push((bound, sign * sample.value)),
                }
            }
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        Buckets(buckets)
    }
}

impl Sample {
    /// A label's value; empty if it has none of this name.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The number.
    pub fn value(&self) -> f64 {
        self.value
    }
}

/// How many were at most so large, for growing bounds.
#[derive(Clone, Debug)]
pub struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// The bound this share stays below; drawn straight inside its bucket. None if nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.0.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let at = self.0.iter().position(|(_, count)| *count >= all * share)?;
        let (bound, count) = *self.0.get(at)?;
        let (low, below) =
            at.checked_sub(1).and_then(|before| self.0.get(before)).copied().unwrap_or((0.0, 0.0));
        if bound.is_infinite() || count <= below {
            return Some(low);
        }
        Some(low + (bound - low) * (all * share - below) / (count - below))
    }
}

/// `name{key="value",...} number`; values have `\"`, `\\` and `\n` escaped.
fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.rsplit_once(' ')?;
    let (name, rest) = head.split_once('{').unwrap_or((head, ""));
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}').unwrap_or_default();
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, char) => text.push(char),
            }
        };
        labels.insert(key.trim_start_matches(',').to_owned(), text);
        rest = after.get(end + 1..)?;
    }
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels_and_nonsense_is_left_out() {
        let page = Page::parse(
            "# HELP a_total How many.\na_total{route=\"say \\\"hi\\\", you\",status=\"200\"} 3\n\
             a_total{route=\"other\",status=\"500\"} 4\nplain 1.5\nnonsense\nhalf{a=\"b} 1\n",
        );
        assert_eq!(page.sum("a_total", |_| true), 7.0);
        assert_eq!(page.sum("a_total", |sample| sample.label("route") == "say \"hi\", you"), 3.0);
        assert_eq!(page.sum("a_total", |sample| sample.label("status").starts_with('5')), 4.0);
        assert_eq!((page.sum("plain", |_| true), page.sum("half", |_| true)), (1.5, 0.0));
    }

    #[test]
    fn a_quantile_is_about_what_came_since() {
        let before =
            Page::parse("t_bucket{le=\"1\"} 100\nt_bucket{le=\"2\"} 100\nt_bucket{le=\"+Inf\"} 100\n");
        let after =
            Page::parse("t_bucket{le=\"1\"} 100\nt_bucket{le=\"2\"} 110\nt_bucket{le=\"+Inf\"} 110\n");
        let since = after.buckets_since(&before, "t", |_| true);
        assert_eq!(since.quantile(0.5), Some(1.5));
        assert_eq!(before.buckets_since(&before, "t", |_| true).quantile(0.5), None);
    }
}
