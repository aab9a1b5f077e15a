//! How an event gets to a subscriber.

use std::sync::Arc;
use std::time::Duration;

use super::bus::BusError;
use super::{Bus, Event};
use crate::peer::{CallFailed, Peer};
use crate::settings::{Settings, SettingsError};

/// Longer than any sidecar lets it take.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// The name of the one subscriber there is with a broker.
pub(super) const BUS: &str = "bus";

/// A way to one subscriber.
#[derive(Clone)]
pub(crate) enum Way {
    /// The broker, which stands for all subscribers.
    Bus(Arc<Bus>),
    /// A POST to its `/events`, through the sidecar.
    Post(Arc<Peer>),
}

/// What came of telling.
#[derive(Debug)]
pub(super) enum Told {
    /// It did not get there. That is not the event's fault: it is told again for as long as it takes.
    Away(String),
    /// The subscriber has it.
    Heard,
    /// The broker is there, and knows nobody who wants it. Perhaps nobody has been there yet: it is told again for as long
    /// as it takes, and holds up no other.
    Unwanted(String),
    /// The subscriber will not have it. That may be a mistake there, so it is told again, but not for ever.
    Refused(String),
}

impl Way {
    /// The ways there are, by the subscriber's name: one if there is a broker.
    pub(crate) fn to_subscribers(
        settings: &Settings,
        bus: Option<&Arc<Bus>>,
    ) -> Result<Vec<(String, Self)>, SettingsError> {
        if let Some(bus) = bus {
            return Ok(vec![(BUS.to_owned(), Self::Bus(bus.clone()))]);
        }
        let subscribers = settings.subscribers()?.into_iter();
        Ok(subscribers
            .map(|(name, url)| (name, Self::Post(Arc::new(Peer::at("subscriber", &url)))))
            .collect())
    }

    pub(super) async fn tell(&self, event: &Event) -> Told {
        match self {
            Self::Bus(bus) => match tokio::time::timeout(TELL_WITHIN, bus.tell(event)).await {
                Ok(Ok(())) => Told::Heard,
                Ok(Err(error @ BusError::Unwanted)) => Told::Unwanted(error.to_string()),
                Ok(Err(error)) => Told::Away(error.to_string()),
                Err(_) => Told::Away("no answer in time".to_owned()),
            },
            Self::Post(peer) => {
                // The event's id makes telling it twice the same as telling it once.
                let call = peer.post("/events").key(&event.id).json(event);
                match tokio::time::timeout(TELL_WITHIN, call.send_empty()).await {
                    Ok(Ok(())) => Told::Heard,
                    Ok(Err(CallFailed::Away { why, .. })) => Told::Away(why),
                    Ok(Err(failed)) => Told::Refused(failed.to_string()),
                    Err(_) => Told::Away("no answer in time".to_owned()),
                }
            }
        }
    }
}
