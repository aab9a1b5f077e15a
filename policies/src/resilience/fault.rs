//! Failures made on purpose, to see what callers do about them.

use std::time::Duration;

use http::StatusCode;

use crate::units::Share;

/// The `fault` block of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// To how many requests it happens.
    pub share: Share,
    /// They are held back for so long.
    pub delay: Option<Duration>,
    /// They are then answered with this instead of being sent on.
    pub abort: Option<StatusCode>,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Injected {
    /// Hold it back for so long.
    pub delay: Duration,
    /// Then answer this.
    pub abort: Option<StatusCode>,
}

/// What happens to this request, if anything. The same roll always gets the same fault.
pub fn inject(settings: &Settings, roll: u64) -> Option<Injected> {
    let hit = settings.share.holds(roll);
    hit.then(|| Injected { delay: settings.delay.unwrap_or_default(), abort: settings.abort })
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn it_happens_to_its_share_and_to_nobody_else() {
        let settings = Settings {
            share: Share::from_millionths(250_000),
            delay: Some(Duration::from_millis(20)),
            abort: Some(StatusCode::SERVICE_UNAVAILABLE),
        };
        let hit = Injected { delay: Duration::from_millis(20), abort: Some(StatusCode::SERVICE_UNAVAILABLE) };
        assert_eq!(inject(&settings, 0), Some(hit));
        assert_eq!(inject(&settings, u64::MAX / 4 - 1), Some(hit));
        assert_eq!(inject(&settings, u64::MAX / 4 + 2), None);
        assert_eq!(inject(&Settings { share: Share::NONE, ..settings }, 0), None);
    }
}
