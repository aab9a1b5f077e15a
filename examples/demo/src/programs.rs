//! Which programs are started, and what each is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::policies::{GATEWAY_POLICIES, sidecar_policies};
use crate::port::Port;
use crate::process::Program;
use crate::shop::{
    COLLECTOR, GATEWAY, GATEWAY_ADMIN, LEGACY, LEGACY_NAME, POSTGRES, RABBIT, RABBIT_NODES, REDIS, SERVICES,
    Service,
};

/// Apps first, and all of them before anything can be ordered. In which order they start among themselves does not matter:
/// what one tells waits for those who are told, in its outbox, or at the broker in queues that the teller itself declares.
const APPS_TIER: u8 = 0;
const SIDECARS_TIER: u8 = 1;
const GATEWAY_TIER: u8 = 2;

/// Where services keep what they know.
#[derive(Clone, Debug, Default)]
pub enum Stores {
    /// Each in a file of its own; events are pushed over HTTP.
    #[default]
    Embedded,
    /// On servers.
    Servers {
        /// Postgres, without the name of a database: each service has one of its own name.
        postgres: String,
        /// Redis.
        redis: String,
        /// RabbitMQ.
        bus: String,
    },
}

/// The name of a service's sidecar among the processes.
pub fn sidecar_name(service: &str) -> String {
    format!("{service}-sidecar")
}

/// Everything that is started, from the programs in this folder.
pub fn all(bin: &Path, run: &Folder, stores: &Stores) -> Vec<Program> {
    let apps = SERVICES.iter().map(|service| app(bin, run, stores, service));
    let sidecars = SERVICES.iter().map(|service| sidecar(bin, service));
    apps.chain(sidecars).chain([legacy(bin, run, stores), gateway(bin)]).collect()
}

/// Every port they need; with servers of our own, those of the servers too.
pub fn ports(servers: bool) -> Vec<Port> {
    let port = |number, for_what: String| Port { number, for_what };
    let mut all = vec![
        port(GATEWAY, "the gateway".to_owned()),
        port(GATEWAY_ADMIN, "the gateway's admin pages".to_owned()),
        port(LEGACY, "the monolith".to_owned()),
        port(COLLECTOR, "the page of the demo".to_owned()),
    ];
    if servers {
        let of_servers = [
            (POSTGRES, "Postgres"),
            (REDIS, "Redis"),
            (RABBIT, "RabbitMQ"),
            (RABBIT_NODES, "RabbitMQ among its own"),
        ];
        all.extend(of_servers.map(|(number, name)| port(number, name.to_owned())));
    }
    for service in &SERVICES {
        let name = service.name;
        all.push(port(service.app(), format!("the {name} service")));
        all.push(port(service.inbound(), format!("the sidecar of {name}")));
        all.push(port(service.admin(), format!("the admin pages of {name}'s sidecar")));
        let others = service.others();
        all.extend(
            others.map(|other| port(service.reaches(other), format!("{name} to reach {}", other.name))),
        );
    }
    all
}

/// Programs that are not in this folder, by their paths.
pub fn missing(bin: &Path) -> Vec<PathBuf> {
    let names = SERVICES.iter().map(|service| format!("shop-{}", service.name));
    let names = names.chain(["shop-legacy", "banyan-sidecar", "banyan-gateway"].map(str::to_owned));
    names.map(|name| bin.join(name)).filter(|path| !path.is_file()).collect()
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn url(port: u16) -> String {
    format!("http://{}", loopback(port))
}

fn common(run: &Folder, stores: &Stores, name: &str, port: u16) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
    set("LISTEN", loopback(port));
    set("OTEL_EXPORTER_OTLP_ENDPOINT", url(COLLECTOR));
    match stores {
        Stores::Embedded => set("DATABASE_URL", format!("sqlite://{}", run.database(name).display())),
        Stores::Servers { postgres, .. } => set("DATABASE_URL", format!("{postgres}/{name}")),
    };
    environment
}

fn legacy(bin: &Path, run: &Folder, stores: &Stores) -> Program {
    Program {
        name: LEGACY_NAME.to_owned(),
        path: bin.join("shop-legacy"),
        arguments: Vec::new(),
        environment: common(run, stores, LEGACY_NAME, LEGACY),
        ready: Some(format!("{}/health", url(LEGACY))),
        tier: APPS_TIER,
    }
}

fn app(bin: &Path, run: &Folder, stores: &Stores, service: &Service) -> Program {
    let mut environment = common(run, stores, service.name, service.app());
    // Others are reached through the own sidecar only.
    for other in service.calls.iter().filter_map(|name| crate::shop::service(name)) {
        environment.insert(format!("{}_URL", other.name.to_uppercase()), url(service.reaches(other)));
    }
    let told = service.tells.iter().filter_map(|name| crate::shop::service(name));
    let told: Vec<_> = told.map(|other| format!("{}={}", other.name, url(service.reaches(other)))).collect();
    if !told.is_empty() {
        environment.insert("EVENTS_TO".to_owned(), told.join(","));
    }
    if let Stores::Servers { redis, bus, .. } = stores {
        if service.takes_part_in_events() {
            environment.insert("BUS_URL".to_owned(), bus.clone());
        }
        if service.name == "inventory" {
            environment.insert("REDIS_URL".to_owned(), redis.clone());
        }
    }
    Program {
        name: service.name.to_owned(),
        path: bin.join(format!("shop-{}", service.name)),
        arguments: Vec::new(),
        environment,
        ready: Some(format!("{}/health", url(service.app()))),
        tier: APPS_TIER,
    }
}

fn sidecar(bin: &Path, service: &Service) -> Program {
    let name = service.name;
    let mut program = proxy(bin.join("banyan-sidecar"), &sidecar_name(name), service.admin());
    program.tier = SIDECARS_TIER;
    // It goes on for its app until that is gone; here it is ended first, so it need not wait.
    let more = [
        ("--policies", sidecar_policies(name)),
        ("--inbound", loopback(service.inbound())),
        ("--certificate", format!("certs/{name}.crt")),
        ("--key", format!("certs/{name}.key")),
        ("--authorities", "certs/ca.pem".to_owned()),
        ("--drain-limit", "1s".to_owned()),
    ];
    program.arguments.extend(more.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
    program
}

fn gateway(bin: &Path) -> Program {
    let mut program = proxy(bin.join("banyan-gateway"), "gateway", GATEWAY_ADMIN);
    program.tier = GATEWAY_TIER;
    let more = [
        ("--policies", GATEWAY_POLICIES.to_owned()),
        ("--listen", loopback(GATEWAY)),
        ("--drain-limit", "3s".to_owned()),
        // All shoppers of the demo come from one address.
        ("--connections-per-address-max", "5000".to_owned()),
    ];
    program.arguments.extend(more.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
    program
}

/// What both proxies are told. Paths are relative to the folder of the run, where they are started.
fn proxy(path: PathBuf, name: &str, admin: u16) -> Program {
    let arguments = ["run", "--admin", &loopback(admin), "--otlp", &url(COLLECTOR)];
    Program {
        name: name.to_owned(),
        path,
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: BTreeMap::from([("OTEL_SERVICE_NAME".to_owned(), name.to_owned())]),
        ready: Some(format!("{}/ready", url(admin))),
        tier: 0,
    }
}
