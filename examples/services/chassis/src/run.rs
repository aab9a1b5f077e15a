//! The life of a service: it reads its settings, opens its database, is put together, serves, and ends in order.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::middleware::from_fn;
use axum::routing::get;
use prometheus::{Encoder, TextEncoder};
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::openapi::Info;
use utoipa_axum::router::OpenApiRouter;

use crate::database::Database;
use crate::events::{
    Bus, Consumer, DeadLetterBox, Deliveries, Inbox, Outbox, Way, dead_letter_routes, inbox_routes,
};
use crate::health::Health;
use crate::peer::Peer;
use crate::settings::{Settings, SettingsError};
use crate::{telemetry, traffic};

/// What is under way when the service shall end has this long to do so.
const END_WITHIN: Duration = Duration::from_secs(10);

/// What a service is put together from.
#[derive(Clone)]
pub struct Chassis {
    /// The service's name.
    pub name: &'static str,
    /// What it was told.
    pub settings: Arc<Settings>,
    /// Its database.
    pub database: Database,
    /// Where it tells others what happened.
    pub outbox: Outbox,
    /// Says when to stop.
    pub stop: CancellationToken,
    bus: Option<Arc<Bus>>,
    tasks: TaskTracker,
}

/// A service put together.
#[derive(Default)]
pub struct App {
    routes: OpenApiRouter,
    undocumented: Router,
    consumer: Option<Arc<dyn Consumer>>,
    health: Health,
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The address cannot be taken.
    #[error("{0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Something of the service's own.
    #[error("{0}")]
    Other(String),
    /// A setting.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Chassis {
    /// The service of this name, reached through the own sidecar at `<NAME>_URL`.
    pub fn peer(&self, name: &'static str) -> Result<Peer, SettingsError> {
        Peer::of(&self.settings, name)
    }

    /// Does this beside serving. It is expected to end when [`Chassis::stop`] says so, and is waited for.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.tasks.spawn(task)
    }
}

impl App {
    /// With these routes, which are in its OpenAPI document.
    pub fn new(routes: OpenApiRouter) -> Self {
        Self { routes, ..Self::default() }
    }

    /// Also with these, which are not: pages, gRPC.
    pub fn also(mut self, routes: Router) -> Self {
        self.undocumented = self.undocumented.merge(routes);
        self
    }

    /// Hears events.
    pub fn hears(mut self, consumer: impl Consumer) -> Self {
        self.consumer = Some(Arc::new(consumer));
        self
    }

    /// With parts of its own that can be well or not.
    pub fn health(mut self, add: impl FnOnce(&mut Health)) -> Self {
        add(&mut self.health);
        self
    }
}

/// A service that serves.
pub(crate) struct Running {
    pub(crate) chassis: Chassis,
    pub(crate) address: SocketAddr,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn start<F>(
        name: &'static str,
        migrations: &Migrator,
        settings: Settings,
        assemble: F,
    ) -> Result<Self, StartError>
    where
        F: AsyncFnOnce(&Chassis) -> Result<App, StartError>,
    {
        let database = Database::open(&settings.database_url(name), migrations).await?;
        let tells: Vec<_> = settings.subscribers()?.into_iter().map(|(name, _)| name).collect();
        let bus = settings.bus()?.map(|uri| Arc::new(Bus::new(name, uri, tells)));
        let ways = Way::to_subscribers(&settings, bus.as_ref())?;
        let outbox = Outbox::new(name, ways.iter().map(|(name, _)| name.clone()).collect());
        let mut write = database.write().await?;
        outbox.readdress(&mut write).await?;
        write.commit().await?;
        let settings = Arc::new(settings);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let chassis = Chassis { name, settings, database, outbox, stop, bus, tasks };
        let mut app = assemble(&chassis).await?;
        let database = chassis.database.clone();
        app.health.vital("database", move || {
            let database = database.clone();
            async move { database.answers().await.map_err(|error| error.to_string()) }
        });
        if let Some(bus) = chassis.bus.clone() {
            app.health.convenient("bus", move || {
                let bus = bus.clone();
                async move { bus.answers().await }
            });
        }
        let wanted = chassis.settings.listen()?;
        let listener = TcpListener::bind(wanted).await.map_err(|error| StartError::Listen(wanted, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(wanted, error))?;
        chassis.deliver(ways);
        chassis.follow(app.consumer.clone());
        let router = chassis.router(app);
        let stop = chassis.stop.clone();
        let served = tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await }).await
        });
        tracing::info!(service = name, %address, "serves");
        Ok(Self { chassis, address, served })
    }

    pub(crate) async fn stop(self) {
        self.chassis.stop.cancel();
        self.chassis.tasks.close();
        let ended = async {
            let _ = self.served.await;
            self.chassis.tasks.wait().await;
            self.chassis.database.close().await;
        };
        if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("what is under way is cut off");
        }
    }
}

impl Chassis {
    fn deliver(&self, ways: Vec<(String, Way)>) {
        let deliveries = Arc::new(Deliveries {
            database: self.database.clone(),
            outbox: self.outbox.clone(),
            stop: self.stop.clone(),
        });
        for (subscriber, way) in ways {
            let deliveries = deliveries.clone();
            self.spawn(async move { deliveries.run(&subscriber, &way).await });
        }
        self.spawn(async move { deliveries.tidy().await });
    }

    /// Hears what the broker has for it.
    fn follow(&self, consumer: Option<Arc<dyn Consumer>>) {
        let (Some(bus), Some(consumer)) = (self.bus.clone(), consumer) else { return };
        let (inbox, stop) = (Inbox { database: self.database.clone(), consumer }, self.stop.clone());
        self.spawn(async move { bus.follow(&inbox, &stop).await });
    }

    fn router(&self, app: App) -> Router {
        let letters = DeadLetterBox {
            database: self.database.clone(),
            outbox: self.outbox.clone(),
            // Only who hears has refused something.
            bus: self.bus.clone().filter(|_| app.consumer.is_some()).map(|bus| (self.name, bus)),
        };
        let mut routes = app.routes.merge(dead_letter_routes(letters));
        if let Some(consumer) = app.consumer {
            routes = routes.merge(inbox_routes(self.database.clone(), consumer));
        }
        let (router, mut document) = routes.split_for_parts();
        document.info = Info::new(self.name, "1.0.0");
        let document: Arc<str> = document.to_pretty_json().unwrap_or_default().into();
        let health = Arc::new(app.health);
        let own =
            Router::new()
                .route("/health", get(move || async move { health.answer().await }))
                .route("/metrics", get(metrics))
                .route(
                    "/openapi.json",
                    get(move || async move {
                        ([(header::CONTENT_TYPE, "application/json")], document.to_string())
                    }),
                );
        router.merge(app.undocumented).merge(own).layer(from_fn(traffic::observe))
    }
}

async fn metrics() -> Vec<u8> {
    let mut text = Vec::new();
    let _ = TextEncoder::new().encode(&prometheus::gather(), &mut text);
    text
}

/// Runs a service until it is told to end.
pub async fn run<F>(name: &'static str, migrations: &Migrator, assemble: F) -> ExitCode
where
    F: AsyncFnOnce(&Chassis) -> Result<App, StartError>,
{
    let settings = Settings::of_environment();
    let telemetry = telemetry::start(name, &settings);
    let (Ok(mut end), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard");
        return ExitCode::FAILURE;
    };
    let running = tokio::select! {
        started = Running::start(name, migrations, settings, assemble) => started,
        _ = end.recv() => return ExitCode::SUCCESS,
        _ = interrupt.recv() => return ExitCode::SUCCESS,
    };
    let running = match running {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(%error, "{name} does not start");
            eprintln!("{name} does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    tokio::select! {
        _ = end.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(service = name, "ends");
    running.stop().await;
    // It waits for its thread, which needs this runtime to send.
    let _ = tokio::task::spawn_blocking(move || telemetry.shutdown()).await;
    ExitCode::SUCCESS
}
