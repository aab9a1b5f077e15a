//! The PROXY header of a load balancer, versions 1 and 2: who the client really is. Read only from networks that the
//! operator named; who is named must send one.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::AsyncReadExt;

use super::transport::Plain;

/// Version 1 is at most 107 bytes; version 2 has 16 and then what its length says. Nobody needs more than this.
const BYTES_MAX: usize = 4096;
/// Read at once: a PROXY header is always in the first packet.
const READ_BYTES: usize = 536;

/// Reads the header. The client's address, unless the balancer speaks for itself; and what was read behind it.
pub(super) async fn read(plain: &mut Plain) -> io::Result<(Option<SocketAddr>, BytesMut)> {
    let mut bytes = BytesMut::with_capacity(READ_BYTES);
    loop {
        if plain.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let header = HeaderResult::parse(&bytes);
        if header.is_incomplete() && bytes.len() < BYTES_MAX {
            continue;
        }
        let (client, length) = match header {
            HeaderResult::V1(Ok(header)) => (of_v1(&header.addresses), header.header.len()),
            HeaderResult::V2(Ok(header)) => {
                let ours = header.command == v2::Command::Local;
                (of_v2(&header.addresses).filter(|_| !ours), header.len())
            }
            HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY header"));
            }
        };
        bytes.advance(length.min(bytes.len()));
        return Ok((client, bytes));
    }
}

fn of_v1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

fn of_v2(addresses: &v2::Addresses) -> Option<SocketAddr> {
    match addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}
