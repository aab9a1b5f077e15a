//! What a story needs: a gateway in this process, and what `testkit` has.

use std::net::SocketAddr;
use std::path::PathBuf;

use gateway::gateway::Gateway;
use gateway::settings::Settings;
use shell::listen::ListenAt;
pub use testkit::{Answer, Client, PATIENCE, Service, aside, eventually, file, service, service_at};

/// A gateway that runs, and the folder its document stands in.
pub struct World {
    pub gateway: Option<Gateway>,
    pub folder: tempfile::TempDir,
    pub at: SocketAddr,
}

/// Is it the short road? Every story is told on both.
pub fn short() -> bool {
    std::env::var("BANYAN_DATA_PATH").map_or(true, |path| path != "pingora")
}

/// Starts a gateway with this document.
pub fn world(document: &str) -> World {
    world_with(document, |_| {})
}

/// Starts a gateway with this document, and settings of the story's own.
pub fn world_with(document: &str, change: impl FnOnce(&mut Settings)) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    std::fs::write(&path, document).unwrap();
    let mut settings = Settings::new(&path);
    settings.listen = vec![ListenAt::Tcp(([127, 0, 0, 1], 0).into())];
    settings.workers = Some(1);
    if !short() {
        settings.data_path = gateway::settings::DataPath::Pingora;
    }
    change(&mut settings);
    let gateway = Gateway::start(&settings).unwrap_or_else(|error| panic!("{error}"));
    let at = gateway.places().iter().find_map(|(at, _)| match at {
        ListenAt::Tcp(address) => Some(*address),
        ListenAt::Unix(_) => None,
    });
    World { gateway: Some(gateway), folder, at: at.unwrap_or_else(|| ([127, 0, 0, 1], 0).into()) }
}

impl World {
    pub fn document(&self) -> PathBuf {
        self.folder.path().join("shop.yaml")
    }

    /// Writes another document in the place of this one, as an editor does, and waits until it has been judged.
    pub fn rewrite(&self, text: &str) {
        let part = self.folder.path().join("shop.yaml.part");
        std::fs::write(&part, text).unwrap();
        std::fs::rename(&part, self.document()).unwrap();
    }

    pub fn generation(&self) -> u64 {
        self.gateway.as_ref().unwrap().plans().status().generation
    }

    /// What `/metrics` says of this series, as it is written there.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let admin = self.gateway.as_ref().unwrap().admin();
        let page = Client::to(admin).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        page.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub fn connect(&self) -> Client {
        Client::to(self.at)
    }

    /// One request on a connection of its own.
    pub fn send(&self, request: &str) -> Answer {
        self.connect().send(request)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
    }
}
