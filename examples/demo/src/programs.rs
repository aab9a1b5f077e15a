//! Which programs are started, and what each is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::policies::{GATEWAY_POLICIES, sidecar_policies};
use crate::port::Port;
use crate::process::Program;
use crate::shop::{COLLECTOR, GATEWAY, GATEWAY_ADMIN, LEGACY, SERVICES, Service};

/// Servers come first.
pub const SERVERS_TIER: u8 = 0;
const APPS_TIER: u8 = 1;
const SIDECARS_TIER: u8 = 2;
const GATEWAY_TIER: u8 = 3;

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

/// Every port they need.
pub fn ports() -> Vec<Port> {
    let port = |number, for_what: String| Port { number, for_what };
    let mut all = vec![
        port(GATEWAY, "the gateway".to_owned()),
        port(GATEWAY_ADMIN, "the gateway's admin pages".to_owned()),
        port(LEGACY, "the monolith".to_owned()),
        port(COLLECTOR, "the page of the demo".to_owned()),
    ];
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

/// Are the programs there? Those that are not, by their paths.
pub fn missing(programs: &[Program]) -> Vec<PathBuf> {
    let mut paths: Vec<_> = programs.iter().map(|program| program.path.clone()).collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| !path.is_file());
    paths
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
        Stores::Embedded => drop(set("DATABASE_URL", format!("sqlite://{}", run.database(name).display()))),
        Stores::Servers { postgres, redis, bus } => {
            set("DATABASE_URL", format!("{postgres}/{}", name.replace('-', "_")));
            set("REDIS_URL", redis.clone());
            set("BUS_URL", bus.clone());
        }
    }
    environment
}

fn legacy(bin: &Path, run: &Folder, stores: &Stores) -> Program {
    Program {
        name: "legacy-shop".to_owned(),
        path: bin.join("shop-legacy"),
        arguments: Vec::new(),
        environment: common(run, stores, "legacy-shop", LEGACY),
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
