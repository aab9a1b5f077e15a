//! What is malformed, or could be read in two ways, gets an answer that says so and never reaches a service.

use crate::world::{Client, service, world};

#[test]
fn what_can_be_read_in_two_ways_is_refused_and_never_forwarded() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    ));
    testkit::framing::hold(world.at, &web);
}

#[test]
fn what_a_repaired_request_would_have_been_still_works() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    ));
    for (request, line) in [
        ("GET /a/../b//c?x=/../y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /b/c?x=/../y HTTP/1.1"),
        ("GET /%61%7Eb HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a~b HTTP/1.1"),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1"),
        ("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1"),
    ] {
        let answer = Client::to(world.at).send(request);
        assert!(answer.body.contains(line), "{request:?}: {answer:?}");
    }
}
