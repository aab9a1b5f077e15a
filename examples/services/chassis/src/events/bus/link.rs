//! The connection over which a service tells.

use std::collections::HashSet;
use std::sync::{Mutex as StdMutex, PoisonError};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::sync::Mutex;

use super::queue::declare_queue;
use super::{BusError, declare_exchanges};

/// A connection.
pub(super) struct Link {
    pub(super) connection: Connection,
    /// Channels on which nothing is under way. Each message has one to itself: of several, the client could not say which
    /// came back.
    idle: StdMutex<Vec<Channel>>,
    /// Kinds that get to everybody who is told.
    bound: Mutex<HashSet<String>>,
}

impl Link {
    pub(super) async fn open(connection: Connection) -> Result<Self, BusError> {
        let link = Self { connection, idle: StdMutex::default(), bound: Mutex::default() };
        let channel = link.channel().await?;
        declare_exchanges(&channel).await?;
        link.put_back(channel);
        Ok(link)
    }

    pub(super) fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    /// Sees to it that this kind gets to these services, whether they have ever been there or not.
    pub(super) async fn bind(&self, services: &[String], kind: &str) -> Result<(), BusError> {
        let mut bound = self.bound.lock().await;
        if bound.contains(kind) {
            return Ok(());
        }
        let channel = self.channel().await?;
        for service in services {
            declare_queue(&channel, service, &[kind]).await?;
        }
        self.put_back(channel);
        bound.insert(kind.to_owned());
        Ok(())
    }

    /// Sends it, and waits until the broker has it on disk.
    pub(super) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), BusError> {
        let channel = self.channel().await?;
        // What gets into no queue comes back: else the broker would confirm it, and have it no more.
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?;
        let confirmation = sent.await?;
        self.put_back(channel);
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(BusError::Unwanted),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(BusError::NotKept),
        }
    }

    /// One that is idle, or a new one. If what it is for is cut off, it is not used again.
    async fn channel(&self) -> Result<Channel, BusError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(channel) = idle.filter(|channel| channel.status().connected()) {
            return Ok(channel);
        }
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    fn put_back(&self, channel: Channel) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
    }
}
