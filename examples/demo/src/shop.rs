//! What there is: the services, where each listens, whom it calls and whom it tells. The map is in `examples/README.md`.

/// The trust domain of the mesh.
pub const TRUST_DOMAIN: &str = "shop.example";
/// Where shoppers knock.
pub const GATEWAY: u16 = 8080;
/// The gateway's admin pages.
pub const GATEWAY_ADMIN: u16 = 9901;
/// The monolith.
pub const LEGACY: u16 = 18000;
/// Its name.
pub const LEGACY_NAME: &str = "legacy-shop";
/// The demo's own page, and where spans are sent.
pub const COLLECTOR: u16 = 18090;
/// Postgres, with `--servers`.
pub const POSTGRES: u16 = 18095;
/// Redis, with `--servers`.
pub const REDIS: u16 = 18096;
/// RabbitMQ, with `--servers`.
pub const RABBIT: u16 = 18097;
/// Where RabbitMQ would talk with others of its kind.
pub const RABBIT_NODES: u16 = 18098;

/// A service.
#[derive(Debug, Eq, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Which block of ports is its own.
    number: u16,
    /// Whom it asks and waits for.
    pub calls: &'static [&'static str],
    /// Whom it tells what has happened.
    pub tells: &'static [&'static str],
}

/// All services but the monolith.
pub const SERVICES: [Service; 10] = [
    Service { name: "user", number: 1, calls: &[], tells: &["notification", "analytics"] },
    Service { name: "product", number: 2, calls: &[], tells: &[] },
    Service { name: "inventory", number: 3, calls: &[], tells: &[] },
    Service {
        name: "order",
        number: 4,
        calls: &["user", "product", "inventory", "payment"],
        tells: &["shipping", "notification", "recommendation", "analytics"],
    },
    Service { name: "payment", number: 5, calls: &[], tells: &[] },
    Service { name: "shipping", number: 6, calls: &[], tells: &["notification", "analytics"] },
    Service { name: "notification", number: 7, calls: &[], tells: &[] },
    Service { name: "review", number: 8, calls: &[], tells: &["recommendation", "analytics"] },
    Service { name: "recommendation", number: 9, calls: &[], tells: &[] },
    Service { name: "analytics", number: 10, calls: &[], tells: &[] },
];

/// The service of this name.
pub fn service(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

impl Service {
    fn block(&self) -> u16 {
        18000 + 100 * self.number
    }

    /// Where the app listens.
    pub fn app(&self) -> u16 {
        self.block()
    }

    /// Where its sidecar takes what comes from the mesh.
    pub fn inbound(&self) -> u16 {
        self.block() + 1
    }

    /// The sidecar's admin pages.
    pub fn admin(&self) -> u16 {
        self.block() + 2
    }

    /// Where its sidecar takes what the app sends to another service.
    pub fn reaches(&self, other: &Self) -> u16 {
        self.block() + 10 + other.number
    }

    /// Whom it reaches at all, called or told.
    pub fn others(&self) -> impl Iterator<Item = &'static Self> {
        self.calls.iter().chain(self.tells).filter_map(|name| service(name))
    }

    /// Does it tell or hear what has happened?
    pub fn takes_part_in_events(&self) -> bool {
        !self.tells.is_empty() || SERVICES.iter().any(|other| other.tells.contains(&self.name))
    }

    /// Its identity in the mesh.
    pub fn spiffe(&self) -> String {
        spiffe(self.name)
    }
}

/// The identity of a workload of the shop.
pub fn spiffe(name: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/{name}")
}
