//! The order in which endpoints take turns: each as often as its weight, and never in a lump.

/// Weights are scaled down so that an order is no longer than this: it is built when endpoints change, and its
/// length only sets how exactly odd weights are kept.
const LENGTH_MAX: u64 = 4096;

/// The order of turns, as indices. At every step each endpoint earns its weight and the richest takes the turn and
/// pays the sum: a heavy endpoint's turns lie spread between the others'.
pub(super) fn turns(weights: &[u32]) -> Box<[usize]> {
    let weights = scaled(weights);
    let sum: i64 = weights.iter().sum();
    let mut wealth = vec![0_i64; weights.len()];
    (0..sum)
        .filter_map(|_| {
            for (purse, weight) in wealth.iter_mut().zip(&weights) {
                *purse += weight;
            }
            // `max_by_key` takes the last of equals; reversed, the first endpoint of the list begins.
            let (richest, purse) = wealth.iter_mut().enumerate().rev().max_by_key(|(_, purse)| **purse)?;
            *purse -= sum;
            Some(richest)
        })
        .collect()
}

/// The weights without their common factor, none of them zero, their sum within the limit (or one turn each).
fn scaled(weights: &[u32]) -> Vec<i64> {
    let weights: Vec<u64> = weights.iter().map(|w| u64::from(*w).max(1)).collect();
    let factor = weights.iter().copied().fold(0, common_factor).max(1);
    let sum = weights.iter().sum::<u64>() / factor;
    let shrink = sum.div_ceil(LENGTH_MAX).max(1);
    weights.iter().map(|w| i64::try_from((w / factor / shrink).max(1)).unwrap_or(1)).collect()
}

fn common_factor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_factor(b, a % b) }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn check(weights: &[u32], order: &[usize]) {
        assert_eq!(&*turns(weights), order, "{weights:?}");
    }

    #[test]
    fn turns_follow_the_weights_and_are_spread_out() {
        check(&[], &[]);
        check(&[1], &[0]);
        check(&[7, 7, 7], &[0, 1, 2]);
        check(&[2, 1], &[0, 1, 0]);
        check(&[200, 100], &[0, 1, 0]);
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
        check(&[0, 1], &[0, 1]);
    }

    #[test]
    fn absurd_weights_give_a_bounded_order() {
        let order = turns(&[u32::MAX, 1, u32::MAX - 1]);
        assert!(order.len() as u64 <= LENGTH_MAX + 3);
        assert!((0..3).all(|i| order.contains(&i)));
    }
}
