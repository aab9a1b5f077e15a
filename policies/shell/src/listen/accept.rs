//! The loop of one worker: takes connections, finds out who they are from, and hands them on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use ipnet::IpNet;
use policies::guard::Looks;
use policies::identity::LastToken;
use policies::request::{Peer, Secure};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::permits::{Full, Permit, Permits};
use super::sockets::{ListenAt, Socket, Speaks};
use super::transport::{Begun, Plain, Transport};
use super::{Certificates, Conn, Counters, Facts, Phase, proxy_header, tls};
use crate::mesh::Identity;

/// After a failed accept, which is mostly too few descriptors: so long is waited, and twice as long each time up to a second.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// What accepting goes by; the same for all sockets of the process.
pub struct Accepting {
    /// The caps.
    pub permits: Arc<Permits>,
    /// What happened.
    pub counters: Arc<Counters>,
    /// Who we are, where TLS is spoken.
    pub shows: Shows,
    /// Connections were meant for somebody else, and redirected to us: whom, is asked of the kernel.
    pub intercepts: Intercepts,
    /// Who begins with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// How long a PROXY header and a TLS handshake may take.
    pub handshake_within: Duration,
}

/// Which certificate a client is shown.
pub enum Shows {
    /// The one it asks for by name.
    ByName(Arc<Certificates>),
    /// Our identity in the mesh; and it has to show its own.
    Mesh(Arc<Identity>),
    /// None: no TLS is spoken.
    Nothing,
}

/// Were connections redirected to us?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Intercepts {
    /// They were meant for us.
    No,
    /// By the kernel's rules.
    Yes,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Takes connections until the gateway drains, and spawns `serve` for each on this thread's runtime.
pub async fn run<S, F>(
    socket: Socket,
    accepting: Arc<Accepting>,
    mut phase: watch::Receiver<Phase>,
    serve: S,
) -> io::Result<()>
where
    S: Fn(Conn) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (speaks, listener) = (socket.speaks, listener(socket)?);
    let mut pause = PAUSE;
    loop {
        let taken = tokio::select! {
            biased;
            taken = accept(&listener) => taken,
            _ = phase.wait_for(|phase| *phase == Phase::Draining) => return Ok(()),
        };
        match taken {
            Ok((plain, address)) => {
                pause = PAUSE;
                let Some(permit) = admit(&accepting, address) else { continue };
                let (accepting, serve) = (accepting.clone(), serve.clone());
                tokio::spawn(async move {
                    // Apart, so that a connection does not keep the room that its beginning took.
                    let greeted = Box::pin(greet(plain, address, permit, speaks, &accepting)).await;
                    if let Some(conn) = greeted {
                        serve(conn).await;
                    }
                });
            }
            Err(error) => {
                accepting.counters.accept_failed.fetch_add(1, Ordering::Relaxed);
                if pause == PAUSE {
                    log::error!(target: "banyan", "cannot accept connections: {error}");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

fn listener(socket: Socket) -> io::Result<Listener> {
    Ok(match socket.at {
        ListenAt::Tcp(_) => Listener::Tcp(TcpListener::from_std(socket.fd.into())?),
        ListenAt::Unix(_) => Listener::Unix(UnixListener::from_std(socket.fd.into())?),
    })
}

async fn accept(listener: &Listener) -> io::Result<(Plain, Option<SocketAddr>)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            // Answers leave at once; a head and its body are gathered by ourselves.
            stream.set_nodelay(true)?;
            Ok((Plain::Tcp(stream), Some(address)))
        }
        Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| (Plain::Unix(stream), None)),
    }
}

fn admit(accepting: &Accepting, address: Option<SocketAddr>) -> Option<Permit> {
    // Behind a balancer all connections have its address: the client's own is not known yet, and capped by nobody.
    let own = address.map(|address| address.ip()).filter(|ip| !is_proxy(accepting, *ip));
    let counters = &accepting.counters;
    match accepting.permits.take(own) {
        Ok(permit) => {
            counters.accepted.fetch_add(1, Ordering::Relaxed);
            Some(permit)
        }
        Err(Full::Address) => {
            counters.refused_address.fetch_add(1, Ordering::Relaxed);
            None
        }
        Err(Full::Global) => {
            counters.refused_global.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

fn is_proxy(accepting: &Accepting, address: IpAddr) -> bool {
    accepting.proxies.iter().any(|network| network.contains(&address.to_canonical()))
}

/// PROXY header and TLS, within the time they may take. Nothing if the connection came to nothing.
async fn greet(
    mut plain: Plain,
    address: Option<SocketAddr>,
    permit: Permit,
    mut speaks: Speaks,
    accepting: &Accepting,
) -> Option<Conn> {
    let greeting = async {
        let mut client = address.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip());
        let mut ahead = BytesMut::new();
        if address.is_some_and(|address| is_proxy(accepting, address.ip())) {
            match proxy_header::read(&mut plain).await {
                Ok((told, rest)) => {
                    (client, ahead) = (told.map_or(client, |told| told.ip()), rest);
                }
                Err(_) => {
                    accepting.counters.proxy_header_bad.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
            }
        }
        let meant_for = match accepting.intercepts {
            Intercepts::Yes => meant_for(&plain),
            Intercepts::No => None,
        };
        let port = address.map_or(0, |address| address.port());
        let mut begun = Begun::new(plain, ahead);
        if speaks == Speaks::Either && begun.look(accepting.handshake_within).await == Looks::Tls {
            speaks = Speaks::Tls;
        }
        let peer = |secure, identity| Peer { address: client.to_canonical(), secure, identity };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        match speaks {
            Speaks::Plain | Speaks::Either => {
                let peer = peer(Secure::Plain, None);
                let facts = Facts {
                    peer,
                    sni: None,
                    shown_to: None,
                    speaks_h2: false,
                    port,
                    meant_for,
                    last_token: LastToken::default(),
                    number,
                    permit,
                };
                Some(Conn::new(Transport::Plain(begun), Arc::new(facts)))
            }
            Speaks::Tls => {
                let greeted = match &accepting.shows {
                    Shows::ByName(certificates) => tls::greet(begun, certificates).await,
                    Shows::Mesh(identity) => tls::greet_peer(begun, identity).await,
                    Shows::Nothing => return None,
                };
                let Ok(greeted) = greeted else {
                    accepting.counters.handshake_failed.fetch_add(1, Ordering::Relaxed);
                    return None;
                };
                let facts = Facts {
                    peer: peer(Secure::Tls, greeted.identity),
                    sni: greeted.sni,
                    shown_to: greeted.shown_to,
                    speaks_h2: greeted.speaks_h2,
                    port,
                    meant_for,
                    last_token: LastToken::default(),
                    number,
                    permit,
                };
                Some(Conn::new(Transport::Tls(greeted.stream), Arc::new(facts)))
            }
        }
    };
    match tokio::time::timeout(accepting.handshake_within, greeting).await {
        Ok(conn) => conn,
        Err(_) => {
            accepting.counters.handshake_failed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// Whom a redirected connection was meant for.
fn meant_for(plain: &Plain) -> Option<SocketAddr> {
    let Plain::Tcp(stream) = plain else { return None };
    let socket = socket2::SockRef::from(stream);
    let v6 = stream.local_addr().ok()?.is_ipv6() && !is_mapped(stream);
    let address = if v6 { socket.original_dst_v6() } else { socket.original_dst_v4() };
    address.ok()?.as_socket()
}

/// A socket for both kinds of address shows IPv4 as `::ffff:10.0.0.1`; the kernel's rule was one of IPv4.
fn is_mapped(stream: &tokio::net::TcpStream) -> bool {
    stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_ipv4())
}
