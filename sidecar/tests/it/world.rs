//! What a story needs: a sidecar in this process, and what `testkit` has.

use std::net::SocketAddr;
use std::path::PathBuf;

use shell::listen::ListenAt;
use sidecar::settings::Settings;
use sidecar::sidecar::Sidecar;
pub use testkit::{Answer, Authority, Client, PATIENCE, aside, eventually, file, service, service_at};

/// A sidecar that runs, and the folder its document stands in.
pub struct World {
    pub sidecar: Option<Sidecar>,
    pub folder: tempfile::TempDir,
    /// Where the mesh reaches the app.
    pub inbound: SocketAddr,
    /// Where the app reaches what it calls, by Host.
    pub outbound: SocketAddr,
}

/// Starts a sidecar with this document.
pub fn world(document: &str) -> World {
    world_with(document, |_, _| {})
}

/// Starts a sidecar with this document, and settings of the story's own.
pub fn world_with(document: &str, change: impl FnOnce(&mut Settings, &std::path::Path)) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("order.yaml");
    std::fs::write(&path, document).unwrap();
    let mut settings = Settings::new(&path);
    let any = || vec![ListenAt::Tcp(([127, 0, 0, 1], 0).into())];
    (settings.inbound, settings.outbound) = (any(), any());
    change(&mut settings, folder.path());
    let sidecar = Sidecar::start(&settings).unwrap_or_else(|error| panic!("{error}"));
    let (inbound, outbound) = (tcp(sidecar.inbound()), tcp(sidecar.outbound()));
    World { sidecar: Some(sidecar), folder, inbound, outbound }
}

fn tcp(places: &[ListenAt]) -> SocketAddr {
    let found = places.iter().find_map(|at| match at {
        ListenAt::Tcp(address) => Some(*address),
        ListenAt::Unix(_) => None,
    });
    found.unwrap_or_else(|| ([127, 0, 0, 1], 0).into())
}

/// Gives a workload its identity: certificate, key and the authorities it believes.
pub fn identity(settings: &mut Settings, folder: &std::path::Path, of: &Authority, id: &str, believes: &str) {
    of.workload(id).put(folder, "own");
    file(folder, "authorities.pem", believes);
    settings.certificate = Some(folder.join("own.crt"));
    settings.key = Some(folder.join("own.key"));
    settings.authorities = Some(folder.join("authorities.pem"));
}

impl World {
    pub fn sidecar(&self) -> &Sidecar {
        self.sidecar.as_ref().unwrap()
    }

    pub fn document(&self) -> PathBuf {
        self.folder.path().join("order.yaml")
    }

    /// Writes another document in the place of this one, as an editor does.
    pub fn rewrite(&self, text: &str) {
        let part = self.folder.path().join("order.yaml.part");
        std::fs::write(&part, text).unwrap();
        std::fs::rename(&part, self.document()).unwrap();
    }

    pub fn generation(&self) -> u64 {
        self.sidecar().plans().status().generation
    }

    /// A connection to a call's own address.
    pub fn to(&self, target: &str) -> Client {
        Client::to(self.sidecar().reaches(target).unwrap())
    }

    /// One call of the app to a target, by the call's own address.
    pub fn call(&self, target: &str, path: &str) -> Answer {
        self.to(target).send(&format!("GET {path} HTTP/1.1\r\nHost: anything\r\n\r\n"))
    }

    /// One call of the app by Host.
    pub fn by_host(&self, host: &str, path: &str) -> Answer {
        Client::to(self.outbound).send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// One request from the mesh, in plain text.
    pub fn enter(&self, path: &str) -> Answer {
        Client::to(self.inbound).send(&format!("GET {path} HTTP/1.1\r\nHost: order\r\n\r\n"))
    }

    /// The number of a series, if it is there.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let page = self.admin("/metrics").body;
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// A page of the admin.
    pub fn admin(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Client::to(self.sidecar().admin()).send(&request)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(sidecar) = self.sidecar.take() {
            sidecar.stop();
        }
    }
}
