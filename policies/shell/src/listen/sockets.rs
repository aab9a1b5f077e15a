//! The sockets that are listened on: one of each for every worker, so that the kernel spreads connections over cores.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Type};

/// Where to listen.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ListenAt {
    /// An address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Connections the kernel holds until we take them.
const BACKLOG: i32 = 4096;

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Speaks {
    /// TLS, or something else as it is: the first bytes tell.
    Either,
    /// HTTP as it is.
    Plain,
    /// HTTP inside TLS.
    Tls,
}

/// A listening socket of one worker.
#[derive(Debug)]
pub struct Socket {
    /// Where it listens, port 0 resolved.
    pub at: ListenAt,
    /// What is spoken there.
    pub speaks: Speaks,
    /// The socket.
    pub fd: OwnedFd,
}

/// All listening sockets.
#[derive(Debug, Default)]
pub struct Sockets(pub Vec<Socket>);

/// A place that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {at}: {error}")]
pub struct BindError {
    at: ListenAt,
    error: io::Error,
}

impl Sockets {
    /// Binds each place once per worker.
    pub fn bind(places: &[(ListenAt, Speaks)], workers: usize) -> Result<Self, BindError> {
        let mut sockets = Self::default();
        for (at, speaks) in places {
            sockets.add(at, *speaks, workers).map_err(|error| BindError { at: at.clone(), error })?;
        }
        Ok(sockets)
    }

    /// Binds what is not among these yet, for each worker.
    pub fn complete(mut self, places: &[(ListenAt, Speaks)], workers: usize) -> Result<Self, BindError> {
        for (at, speaks) in places {
            let known = self.0.iter().filter(|socket| socket.at == *at && socket.speaks == *speaks).count();
            if known < workers {
                self.add(at, *speaks, workers - known)
                    .map_err(|error| BindError { at: at.clone(), error })?;
            }
        }
        Ok(self)
    }

    fn add(&mut self, at: &ListenAt, speaks: Speaks, workers: usize) -> io::Result<()> {
        match at {
            ListenAt::Tcp(address) => {
                let mut address = *address;
                for _ in 0..workers {
                    let socket = tcp(address)?;
                    // Port 0 is chosen once, and then the same for all workers.
                    address = socket.local_addr()?.as_socket().unwrap_or(address);
                    self.0.push(Socket { at: ListenAt::Tcp(address), speaks, fd: socket.into() });
                }
            }
            ListenAt::Unix(path) => {
                let known = self.0.iter().find(|socket| socket.at == *at).map(|socket| socket.fd.try_clone());
                let socket = known.unwrap_or_else(|| unix(path).map(OwnedFd::from))?;
                for _ in 0..workers {
                    self.0.push(Socket { at: at.clone(), speaks, fd: socket.as_fd().try_clone_to_owned()? });
                }
            }
        }
        Ok(())
    }

    /// The same sockets once more, to be handed on.
    pub fn copies(&self) -> io::Result<Self> {
        let copy = |socket: &Socket| {
            Ok(Socket { at: socket.at.clone(), speaks: socket.speaks, fd: socket.fd.try_clone()? })
        };
        Ok(Self(self.0.iter().map(copy).collect::<io::Result<_>>()?))
    }

    /// Where they listen, each place once.
    pub fn places(&self) -> Vec<(ListenAt, Speaks)> {
        let mut places: Vec<_> = self.0.iter().map(|socket| (socket.at.clone(), socket.speaks)).collect();
        places.sort();
        places.dedup();
        places
    }

    /// Gives each worker its own: as many shares as there are workers, no socket left over.
    pub fn shares(self, workers: usize) -> Vec<Vec<Socket>> {
        let mut shares: Vec<Vec<Socket>> = (0..workers).map(|_| Vec::new()).collect();
        for socket in self.0 {
            let fewest = shares.iter_mut().min_by_key(|share| {
                share.iter().filter(|other| other.at == socket.at && other.speaks == socket.speaks).count()
            });
            if let Some(share) = fewest {
                share.push(socket);
            }
        }
        shares
    }
}

fn tcp(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn unix(path: &Path) -> io::Result<socket2::Socket> {
    use std::os::unix::fs::PermissionsExt;
    // A file nobody answers on was left behind by a process that is gone.
    if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

impl std::str::FromStr for ListenAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                format!("`{text}` is neither an address such as 127.0.0.1:8080 nor unix:/path/to/socket")
            }),
        }
    }
}

impl std::fmt::Display for ListenAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
