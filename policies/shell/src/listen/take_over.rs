//! The next process takes the listening sockets from this one: the very sockets, with whatever waits in them, so that no
//! connection is refused and none is reset.
//!
//! The one that starts asks at a socket in the file system ([`ask`]); the one that runs answers there ([`offer`]) with its
//! sockets, waits for the word that the other serves, and leaves. Only a process of the same user gets them.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg, sockopt,
};
use serde::{Deserialize, Serialize};

use super::sockets::{Socket, Sockets, Speaks};

/// Sockets in one message: the kernel takes 253.
const AT_ONCE: usize = 64;
/// The names of that many sockets.
const NAMES_BYTES_MAX: usize = 32 * 1024;
/// How long the other may take to answer, and to begin to serve.
const WITHIN: Duration = Duration::from_secs(60);

/// Sockets that were handed over; the process that had them goes on until [`Handed::ready`].
pub struct Handed {
    /// They.
    pub sockets: Sockets,
    stream: UnixStream,
}

/// One message: the names of the sockets that come with it.
#[derive(Deserialize, Serialize)]
struct Named {
    /// Where each listens, and whether TLS is spoken there.
    sockets: Vec<(String, bool)>,
    last: bool,
}

/// Asks whoever answers at this socket for its listening sockets. Nobody answers: there is nobody to take over from.
pub fn ask(at: &Path) -> io::Result<Option<Handed>> {
    let Ok(mut stream) = UnixStream::connect(at) else { return Ok(None) };
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    is_ours(&stream)?;
    let mut sockets = Sockets::default();
    loop {
        let (named, fds) = receive(&stream)?;
        if named.sockets.len() != fds.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "as many sockets as names were expected"));
        }
        for ((at, tls), fd) in named.sockets.into_iter().zip(fds) {
            let at = at.parse().map_err(|error: String| io::Error::new(io::ErrorKind::InvalidData, error))?;
            sockets.0.push(Socket { at, speaks: if tls { Speaks::Tls } else { Speaks::Plain }, fd });
        }
        // One message at a time: a stream has no edges of its own.
        stream.write_all(b"+")?;
        if named.last {
            return Ok(Some(Handed { sockets, stream }));
        }
    }
}

impl Handed {
    /// Says that this process serves: the other may go.
    pub fn ready(mut self) -> io::Result<()> {
        self.stream.write_all(b"!")
    }
}

/// Answers at this socket until somebody has taken the sockets; then calls `taken`. For a thread of its own.
pub fn offer(at: &Path, sockets: &Mutex<Option<Sockets>>, taken: impl Fn()) -> io::Result<()> {
    // What stands there is of a process that is gone, or of the one we have just taken over from.
    let _ = std::fs::remove_file(at);
    let listener = UnixListener::bind(at)?;
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o600))?;
    for stream in listener.incoming() {
        let given = stream.and_then(|stream| give(stream, sockets));
        match given {
            Ok(true) => {
                taken();
                return Ok(());
            }
            Ok(false) => return Ok(()),
            Err(error) => log::error!(target: "banyan", "the sockets could not be handed over: {error}"),
        }
    }
    Ok(())
}

/// Gives the sockets and waits for the word that they are served. `Ok(false)`: there are none any more.
fn give(mut stream: UnixStream, sockets: &Mutex<Option<Sockets>>) -> io::Result<bool> {
    is_ours(&stream)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    {
        let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sockets) = sockets.as_ref() else { return Ok(false) };
        let mut left = sockets.0.len();
        for part in sockets.0.chunks(AT_ONCE) {
            left -= part.len();
            let named =
                part.iter().map(|socket| (socket.at.to_string(), socket.speaks == Speaks::Tls)).collect();
            let fds: Vec<_> = part.iter().map(|socket| socket.fd.as_fd()).collect();
            send(&stream, &Named { sockets: named, last: left == 0 }, &fds)?;
            stream.read_exact(&mut [0])?;
        }
    }
    stream.read_exact(&mut [0])?;
    Ok(true)
}

fn is_ours(stream: &UnixStream) -> io::Result<()> {
    let other = sockopt::socket_peercred(stream)?;
    if other.uid == rustix::process::getuid() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the process at the other end is another user's"))
    }
}

fn send(stream: &UnixStream, named: &Named, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(named)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes();
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    let sent = sendmsg(stream, &[IoSlice::new(&length)], &mut control, SendFlags::empty())?;
    if sent != length.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    (&mut &*stream).write_all(&bytes)
}

fn receive(stream: &UnixStream) -> io::Result<(Named, Vec<OwnedFd>)> {
    let mut length = [0; 4];
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(stream, &mut [IoSliceMut::new(&mut length)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes != length.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = fds.flatten().collect();
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > NAMES_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more names than there can be"));
    }
    let mut bytes = vec![0; length];
    (&mut &*stream).read_exact(&mut bytes)?;
    Ok((serde_json::from_slice(&bytes)?, fds))
}
