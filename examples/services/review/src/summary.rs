//! How many stars: the sum of what is said of a product.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// The reviews of a product in figures.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Summary {
    product_id: String,
    /// How many reviews there are.
    pub(crate) count: i64,
    /// Their average, to a hundredth of a star; null if there are none.
    average: Option<f64>,
    /// How many gave 1, 2, 3, 4 and 5 stars.
    #[schema(example = json!({"1": 0, "2": 0, "3": 1, "4": 2, "5": 7}))]
    histogram: BTreeMap<i64, i64>,
}

impl Summary {
    /// From how often each rating was given.
    pub(crate) fn of(product_id: &str, stars: &[(i64, i64)]) -> Self {
        let mut histogram: BTreeMap<i64, i64> = (1..=5).map(|rating| (rating, 0)).collect();
        histogram.extend(stars.iter().copied());
        let count = histogram.values().sum::<i64>();
        let total: i64 = histogram.iter().map(|(rating, reviews)| rating * reviews).sum();
        #[allow(clippy::cast_precision_loss, reason = "nobody writes 2^53 reviews")]
        let average = (count > 0).then(|| (total as f64 / count as f64 * 100.0).round() / 100.0);
        Self { product_id: product_id.to_owned(), count, average, histogram }
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn no_reviews_have_no_average() {
        let summary = Summary::of("p-1", &[]);
        assert_eq!((summary.count, summary.average, summary.histogram.len()), (0, None, 5));
    }

    #[test]
    fn the_average_is_of_the_stars_given() {
        let summary = Summary::of("p-1", &[(5, 2), (4, 1)]);
        assert_eq!((summary.count, summary.average), (3, Some(4.67)));
        assert_eq!(summary.histogram.values().copied().collect::<Vec<_>>(), [0, 0, 0, 1, 2]);
    }
}
