//! What is malformed, or could be read in two ways, is taken as at the edge: by the same guard, with the same slugs.

use crate::world::{service, world};

#[test]
fn what_can_be_read_in_two_ways_is_refused_at_the_inbound_door() {
    let app = service("app");
    let world = world(&format!(
        "version: 1\nservice: {{ name: order, url: {} }}\ninbound: {{ mtls: permissive }}\n",
        app.url()
    ));
    testkit::framing::hold(world.inbound, &app);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_at_the_outbound_door() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:1\" }}\ntargets: {{ web: {{ url: {} }} }}\ncalls: {{ web: {{ listen: 127.0.0.1:0, host: [web, a] }} }}\n",
        web.url()
    ));
    testkit::framing::hold(world.outbound, &web);
}
