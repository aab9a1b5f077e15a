//! How well something fits.

/// How a product does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// It was in so many orders.
    pub(crate) orders: f64,
    pub(crate) ratings: f64,
    pub(crate) rating_total: f64,
}

impl Standing {
    /// Between 0.2 and 1. A product nobody rated is taken for a middling one, and a single rating moves it little: as if
    /// four shoppers had given it three and a half stars before.
    pub(crate) fn liked(self) -> f64 {
        (self.rating_total + 4.0 * 3.5) / (self.ratings + 4.0) / 5.0
    }
}

/// How well `other` goes with a product, from 0 to 1: how often they are bought together, in relation to how often each
/// is bought at all (the cosine of their orders). Else the best seller would go with everything.
pub(crate) fn together(times: f64, product: f64, other: Standing) -> f64 {
    let both = (product * other.orders).sqrt();
    if both > 0.0 { (times / both).min(1.0) * other.liked() } else { 0.0 }
}

/// A score as it is told: three digits are enough to sort by.
pub(crate) fn rounded(score: f64) -> f64 {
    (score * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{Standing, rounded, together};

    fn sold(orders: f64) -> Standing {
        Standing { orders, ..Standing::default() }
    }

    #[test]
    fn what_is_always_bought_together_fits_better_than_what_all_buy() {
        let filter_papers = together(8.0, 10.0, sold(8.0));
        let best_seller = together(9.0, 10.0, sold(900.0));
        assert!(filter_papers > best_seller, "{filter_papers} {best_seller}");
    }

    #[test]
    fn what_is_liked_fits_better() {
        let rated = |stars: f64| Standing { orders: 5.0, ratings: 10.0, rating_total: 10.0 * stars };
        let [bad, unknown, good] = [rated(1.0), sold(5.0), rated(5.0)].map(|other| together(3.0, 5.0, other));
        assert!(bad < unknown && unknown < good, "{bad} {unknown} {good}");
    }

    #[test]
    fn scores_stay_between_0_and_1() {
        let loved = Standing { orders: 1.0, ratings: 1e9, rating_total: 5e9 };
        assert_eq!(
            rounded(together(5.0, 1.0, loved)),
            1.0,
            "events may come such that pairs are ahead of orders"
        );
        assert_eq!(together(1.0, 0.0, loved), 0.0);
    }
}
