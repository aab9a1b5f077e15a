//! Durations and shares as sentences spell them.

use std::{
    fmt::{Display, Formatter, Result},
    time::Duration,
};

/// "5 s", "250 ms", "2.5 s".
pub(super) struct Time(pub(super) Duration);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{} s", (self.0.as_secs_f64() * 10.0).round() / 10.0)
        }
    }
}

/// "60 %", "2.5 %".
pub(super) struct Share(pub(super) f64);

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} %", (self.0 * 1_000.0).round() / 10.0)
    }
}

/// A share, 0 to 1, as whole thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=1000 just before"
)]
pub(super) fn thousandths(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * 1_000.0).round() as u32
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_read_well() {
        let time = |millis| Time(Duration::from_millis(millis)).to_string();
        assert_eq!([time(250), time(5_000), time(2_540)], ["250 ms", "5 s", "2.5 s"]);
        assert_eq!([Share(0.6).to_string(), Share(0.025).to_string()], ["60 %", "2.5 %"]);
        assert_eq!(
            [thousandths(0.2), thousandths(-1.0), thousandths(7.0), thousandths(f64::NAN)],
            [200, 0, 1_000, 0]
        );
    }
}
