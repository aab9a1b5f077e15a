//! A client of HTTP/2 that asks for a lot and reads nothing for a while: its answers, small and large, wait for room, and
//! none is lost or left behind.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use shell::listen::ListenAt;
use testkit::Authority;

use crate::tls;
use crate::world::{PATIENCE, Service, eventually, service, world_with};

/// As many as one connection may have at once are more.
const STREAMS: u32 = 60;
/// Of the body of every fifth answer: nothing, what is framed together with others, what is not, several frames, and more
/// than a socket takes.
const SIZES: [usize; 5] = [0, 10, 1_500, 20_000, 1_000_000];
const WIDEST: u32 = 0x7fff_ffff;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request as RFC 7541 has it, with two fields of its table, and two by their names there.
fn get(stream: u32, path: &str) -> Vec<u8> {
    let mut fields = vec![0x82, 0x86];
    for (name, value) in [(0x04, path), (0x01, "shop.example")] {
        fields.extend([name, u8::try_from(value.len()).unwrap()]);
        fields.extend(value.as_bytes());
    }
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
}

fn size(stream: u32) -> usize {
    SIZES[(stream / 2) as usize % SIZES.len()]
}

fn streams() -> impl Iterator<Item = u32> {
    (0..STREAMS).map(|number| 2 * number + 1)
}

/// Asks, waits until every request has come to the service, and only then reads.
fn asks(mut client: impl Read + Write, web: &Service) {
    let before = web.hits();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let window = [&[0, 4], &WIDEST.to_be_bytes()[..]].concat();
    client.write_all(&frame(SETTINGS, 0, 0, &window)).unwrap();
    client.write_all(&frame(WINDOW_UPDATE, 0, 0, &(WIDEST - 65_535).to_be_bytes())).unwrap();
    for stream in streams() {
        client.write_all(&get(stream, &format!("/big/{}", size(stream)))).unwrap();
    }
    client.flush().unwrap();
    eventually("all have come", || web.hits() - before == STREAMS as usize);
    let (mut bodies, mut ended) = (HashMap::<u32, usize>::new(), 0);
    while ended < STREAMS {
        let mut head = [0; 9];
        client.read_exact(&mut head).unwrap();
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        client.read_exact(&mut payload).unwrap();
        assert!(![RESET, GO_AWAY].contains(&kind), "{kind}");
        if kind == DATA {
            *bodies.entry(u32::from_be_bytes(stream)).or_default() += payload.len();
        }
        ended += u32::from([DATA, HEADERS].contains(&kind) && flags & END_STREAM != 0);
    }
    for stream in streams() {
        assert_eq!(bodies.get(&stream).copied().unwrap_or_default(), size(stream));
    }
}

#[test]
fn who_reads_nothing_for_a_while_gets_many_answers_whole() {
    let web = service("web");
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.pair(&["shop.example"]).put(folder.path(), "shop");
    let document = format!(
        "version: 1\ntargets: {{ web: {{ url: http://{} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.at
    );
    let world = world_with(&document, |_| {});
    let plain = TcpStream::connect(world.at).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    asks(plain, &web);
    let world = world_with(&document, |settings| {
        settings.listen.clear();
        settings.listen_tls = vec![ListenAt::Tcp(([127, 0, 0, 1], 0).into())];
        settings.certs = Some(folder.path().into());
    });
    asks(tls::h2(world.at, "shop.example", authority.roots()), &web);
}
