//! A request's head made of any bytes is refused, or is understood by another parser in the same way; and it does not matter
//! whether it is read or only vetted.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, Version};
use libfuzzer_sys::fuzz_target;
use policies::guard::{Rules, raw};
use policies::why::Silent;

fuzz_target!(|data: &[u8]| {
    look(data);
    // Most bytes are no request line: here they are fields, and fields behind a body.
    look(&[b"POST /a HTTP/1.1\r\nHost: a\r\n".as_slice(), data, b"\r\n\r\n"].concat());
    trailers(&[data, b"\r\n\r\n"].concat());
});

fn look(bytes: &[u8]) {
    let head = Bytes::copy_from_slice(bytes);
    let read = raw::request(&head, &Rules::default(), &mut Silent);
    let vetted = raw::vet(bytes, &Rules::default(), &mut Silent);
    assert_eq!(read.as_ref().map(|read| read.raw).map_err(|denial| *denial), vetted);
    let Ok(read) = read else { return };
    let mut slots = [httparse::EMPTY_HEADER; 256];
    let mut other = httparse::Request::new(&mut slots);
    let complete = other.parse(bytes).expect("what we take, others take");
    assert_eq!(complete, httparse::Status::Complete(bytes.len()));
    assert_eq!(other.method, Some(read.parts.method.as_str()));
    assert_eq!(other.path.map(str::as_bytes), Some(&*read.target));
    assert_eq!(other.version == Some(1), read.parts.version == Version::HTTP_11);
    the_same(&read.parts.headers, other.headers);
}

fn trailers(bytes: &[u8]) {
    let Some(ours) = raw::trailers(&Bytes::copy_from_slice(bytes)) else { return };
    let mut slots = [httparse::EMPTY_HEADER; 1024];
    let read = httparse::parse_headers(bytes, &mut slots).expect("what we take, others take");
    let httparse::Status::Complete((end, theirs)) = read else { panic!("it ends for us and not for others") };
    assert_eq!(end, bytes.len());
    the_same(&ours, theirs);
}

fn the_same(ours: &HeaderMap, theirs: &[httparse::Header<'_>]) {
    assert_eq!(ours.len(), theirs.len());
    for name in ours.keys() {
        let theirs = theirs.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_str()));
        let ours = ours.get_all(name).iter();
        assert!(theirs.map(|field| field.value).eq(ours.map(|value| value.as_bytes())), "{name}");
    }
}
