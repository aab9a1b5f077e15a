//! The servers of `--servers`: a Postgres with one database a service, a Redis and a RabbitMQ, each in a folder of its own that
//! goes with it. They end with us, however we end; see `chassis::servers`.

use chassis::servers::{Place, Postgres, Rabbit, Redis, ServerError};

use crate::programs::Stores;
use crate::shop::{LEGACY_NAME, POSTGRES, RABBIT, RABBIT_NODES, REDIS, SERVICES};

/// Servers that run.
pub struct Servers {
    postgres: Postgres,
    redis: Redis,
    rabbit: Rabbit,
}

impl Servers {
    /// Starts all three, side by side, and makes the databases.
    pub async fn start() -> Result<Self, ServerError> {
        let (postgres, redis, rabbit) = tokio::try_join!(
            Postgres::start_at(Place::anywhere_on(POSTGRES)?),
            Redis::start_at(Place::anywhere_on(REDIS)?),
            Rabbit::start_at(Place::anywhere_on(RABBIT)?, RABBIT_NODES, &[]),
        )?;
        for name in SERVICES.iter().map(|service| service.name).chain([LEGACY_NAME]) {
            postgres.database(name).await?;
        }
        Ok(Self { postgres, redis, rabbit })
    }

    /// Where services find them.
    pub fn stores(&self) -> Stores {
        Stores::Servers {
            postgres: format!("postgres://shop@127.0.0.1:{POSTGRES}"),
            redis: self.redis.url(),
            bus: self.rabbit.url("/"),
        }
    }

    /// Ends them, in order.
    pub async fn end(self) {
        // Each waits for its process.
        let _ = tokio::task::spawn_blocking(move || {
            let Self { postgres, redis, rabbit } = self;
            drop((rabbit, redis, postgres));
        })
        .await;
    }
}
