//! Where a server keeps its files and where it listens.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use super::ServerError;

/// In this folder there is a file of this name if the folder outlives the server.
const KEEP: &str = "keep";
/// Below the ports that the system gives to whoever calls somebody, so nobody takes one between our look and the start.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A directory and a port.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) directory: PathBuf,
    pub(super) port: u16,
    is_scrap: bool,
}

impl Place {
    /// This directory, which is kept when the server ends, and this port of loopback.
    pub fn at(directory: impl Into<PathBuf>, port: u16) -> Self {
        Self { directory: directory.into(), port, is_scrap: false }
    }

    /// A new directory, which goes with the server, and a free port.
    pub fn anywhere() -> Result<Self, ServerError> {
        Self::anywhere_on(free_port()?)
    }

    /// A new directory, which goes with the server, and this port. It is where every user may go, as a checkout need not be.
    pub fn anywhere_on(port: u16) -> Result<Self, ServerError> {
        let directory = tempfile::Builder::new().prefix("shop-").tempdir().map_err(io("a directory"))?.keep();
        Ok(Self { directory, port, is_scrap: true })
    }

    /// Makes the directory, of which `user` becomes the owner if we are root: servers refuse to run as root.
    pub(super) fn prepare(&self, user: &str) -> Result<(), ServerError> {
        std::fs::create_dir_all(&self.directory).map_err(io("a directory"))?;
        self.keep(!self.is_scrap)?;
        if we_are_root() {
            let owned = std::process::Command::new("chown").args(["-R", user]).arg(&self.directory).status();
            if !owned.map_err(io("chown"))?.success() {
                return Err(ServerError::Io("chown", std::io::ErrorKind::PermissionDenied.into()));
            }
        }
        Ok(())
    }

    /// Shall the directory outlive the server that is about to end?
    pub(super) fn keep(&self, outlives: bool) -> Result<(), ServerError> {
        let mark = self.directory.join(KEEP);
        if outlives {
            std::fs::write(mark, "").map_err(io("a directory"))
        } else if mark.exists() {
            std::fs::remove_file(mark).map_err(io("a directory"))
        } else {
            Ok(())
        }
    }

    pub(super) fn is_scrap(&self) -> bool {
        self.is_scrap
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn write(&self, name: &str, content: &str) -> Result<PathBuf, ServerError> {
        let file = self.directory.join(name);
        std::fs::write(&file, content).map_err(io("a file"))?;
        Ok(file)
    }
}

/// A port that nobody listens at, another one each time.
pub(super) fn free_port() -> Result<u16, ServerError> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Test programs that run side by side begin at different ports.
    let first = u16::try_from(std::process::id() * 37 % u32::from(span)).unwrap_or_default();
    for _ in 0..span {
        let port = PORTS.start + (first + NEXT.fetch_add(1, Ordering::Relaxed) % span) % span;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(ServerError::Io("a free port", std::io::ErrorKind::AddrInUse.into()))
}

/// Who looks at itself sees its own user.
pub(super) fn we_are_root() -> bool {
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|own| own.uid() == 0)
}

pub(super) fn io(what: &'static str) -> impl Fn(std::io::Error) -> ServerError {
    move |error| ServerError::Io(what, error)
}
