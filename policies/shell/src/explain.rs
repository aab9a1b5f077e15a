//! Why a request would get what it gets: the data path's own decision, with somebody listening.
//!
//! The state it decides on is its own, empty one: explaining takes nothing from any limit and moves no breaker. What only the
//! running state knows (a bucket that is empty, a breaker that is open) is on the admin pages.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Request, header};
use policies::admit::{Ask, Moved, Verdict, admit};
use policies::describe::effective;
use policies::document::{Document, Secret};
use policies::guard::{Wire, inspect};
use policies::headers::hop::{self, Framing, Next, Onward};
use policies::headers::{Carried, Forwarding, client_address};
use policies::identity::Asked;
use policies::plan::{Destination, Materials, Plan, Way};
use policies::request::{Incoming, Peer, Secure};
use policies::spiffe::SpiffeId;
use policies::state::{Living, Room};
use policies::verdict::Denial;
use policies::why::{Notes, Witness};

/// A request that is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its method.
    pub method: String,
    /// Its URL, `http://host/path`.
    pub url: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Where it comes from; from this machine if nobody says.
    pub from: Option<IpAddr>,
    /// Which door it comes to; where nobody says, the likely one.
    pub door: Option<Way>,
    /// Who the caller has proved to be, by a certificate.
    pub peer: Option<SpiffeId>,
    /// What a verified token would say, where there is none.
    pub claims: Option<serde_json::Value>,
}

/// Tells, in lines, what becomes of a request and why.
pub fn explain(
    document: &Document,
    materials: &Materials,
    generation: u64,
    question: &Question,
) -> Result<String, String> {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let mut question = question.clone();
    let (mut assumed, mut materials) = (document.clone(), materials.clone());
    if let Some(claims) = question.claims.take() {
        assume(&mut assumed, &mut materials, &mut question.headers, &claims)?;
    }
    let (document, question, materials) = (&assumed, &question, &materials);
    let plan = Plan::compile(document, materials, &living, generation).map_err(|error| error.to_string())?;
    let uri: http::Uri =
        question.url.parse().map_err(|error| format!("`{}` is no URL: {error}", question.url))?;
    let secure = if uri.scheme_str() == Some("https") { Secure::Tls } else { Secure::Plain };
    let mut request = Request::builder()
        .method(question.method.as_str())
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()));
    if let Some(authority) = uri.authority() {
        request = request.header(header::HOST, authority.as_str());
    }
    let (mut head, ()) = request.body(()).map_err(|error| error.to_string())?.into_parts();
    head.headers.extend(question.headers.clone());
    let target = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let secure = if question.peer.is_some() { Secure::Tls } else { secure };
    let peer = Peer {
        address: question.from.unwrap_or(IpAddr::from([127, 0, 0, 1])),
        secure,
        identity: question.peer.clone(),
    };
    let incoming = Incoming { head: &head, target: target.as_bytes(), peer: &peer };
    let mut notes = Notes::default();
    let mut told = format!("{} {} under generation {generation}\n", question.method, question.url);
    let clean = match inspect(&incoming, Wire::default(), &plan.guard, &mut notes) {
        Ok(clean) => clean,
        Err(denial) => {
            listen(&mut told, &notes);
            let _ =
                writeln!(told, "refused: {} {} ({})", denial.row().status, denial.slug(), denial.row().says);
            return Ok(told);
        }
    };
    let way = question.door.unwrap_or_else(|| plan.likely_door(&clean.host));
    if way != Way::Edge {
        let _ = writeln!(told, "at the {} door", way.as_str());
    }
    if let Err(denial) = let_in(&plan, way, &peer, &clean.host, &mut notes) {
        listen(&mut told, &notes);
        let _ = writeln!(told, "refused: {} {} ({})", denial.row().status, denial.slug(), denial.row().says);
        return Ok(told);
    }
    let carried = Carried::read(&head.headers, plan.believes(way, &peer), 7);
    let ask = Ask {
        incoming: &incoming,
        clean: &clean,
        carried: &carried,
        client: client_address(&peer, &head.headers, &plan.trust, &Forwarding::default()),
        now: crate::clock::now(),
        roll: fastrand::u64(..),
        asked: Asked::NotYet,
        last: None,
    };
    let verdict = admit(&plan, plan.door(way), &ask, &mut notes);
    listen(&mut told, &notes);
    if let (Verdict::Permit(_), Err(denial)) = (&verdict, goes_out(&head.headers)) {
        // What is stripped on the way out may not be named by the client; the data path finds that out last.
        let _ = writeln!(told, "refused: {} {} ({})", denial.row().status, denial.slug(), denial.row().says);
        return Ok(told);
    }
    let route = conclude(&mut told, &verdict);
    if let Some(route) = route {
        let _ = writeln!(told, "\nthe settings of route {route}:");
        let about = format!("route {route}: ");
        for line in
            effective(document).iter().map(ToString::to_string).filter(|line| line.starts_with(&about))
        {
            let _ = writeln!(told, "  {}", line.trim_start_matches(&about));
        }
    }
    Ok(told)
}

/// What a sidecar asks before any route is looked for: may the peer connect; was the destination declared?
fn let_in(plan: &Plan, way: Way, peer: &Peer, host: &str, notes: &mut Notes) -> Result<(), Denial> {
    match way {
        Way::Edge => Ok(()),
        Way::Inbound => plan.mesh.admits(peer, notes),
        Way::Outbound => match plan.destination(host) {
            Destination::Refused(denial) => Err(denial),
            Destination::Declared => Ok(()),
            Destination::Passes => {
                notes.note("calls", || {
                    format!("{host} was not declared: it passes, and no policy looks at it")
                });
                Ok(())
            }
        },
    }
}

/// Puts a token with these claims into the request, signed with a key made for this question, and lets every issuer of the
/// document have that key. All else about the token is checked as ever: issuer, audience, time, scopes.
fn assume(
    document: &mut Document,
    materials: &mut Materials,
    headers: &mut HeaderMap,
    claims: &serde_json::Value,
) -> Result<(), String> {
    policies::identity::install_provider();
    let secret: Vec<u8> = std::iter::repeat_with(|| fastrand::alphanumeric() as u8).take(48).collect();
    let key = jsonwebtoken::EncodingKey::from_secret(&secret);
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key)
        .map_err(|error| error.to_string())?;
    let named = Secret::Env("the key made for this question".into());
    materials.add(named.clone(), secret);
    for identity in document.identities.0.values_mut().filter(|identity| identity.api_keys.is_none()) {
        identity.secret = Some(named.clone());
        (identity.jwks, identity.keys, identity.algorithms) = (None, None, None);
        identity.from = None;
    }
    let value = http::HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| error.to_string())?;
    headers.insert(header::AUTHORIZATION, value);
    Ok(())
}

/// Can the fields of this request be stripped for the next hop?
fn goes_out(headers: &HeaderMap) -> Result<(), Denial> {
    let onward = Onward { framing: Framing::ByField, next: Next::Http1, upgrade: None };
    hop::request(&mut headers.clone(), onward)
}

fn listen(told: &mut String, notes: &Notes) {
    for note in &notes.0 {
        let _ = writeln!(told, "  {:<12} {}", note.about, note.words);
    }
}

/// The end of it; the route that spoke.
fn conclude(told: &mut String, verdict: &Verdict) -> Option<String> {
    // Writing to a String cannot fail.
    let (words, route) = match verdict {
        Verdict::Permit(permit) => {
            let side = permit.side().map_or("nobody", |side| side.target.name.as_str());
            let moved = match permit.moved() {
                Some(Moved::ToNew(_)) => ", the new side",
                Some(Moved::StaysOld(_)) => ", the old side",
                None => "",
            };
            let observed: Vec<_> = permit.observed().iter().map(|observed| observed.because.slug()).collect();
            let would = if observed.is_empty() {
                String::new()
            } else {
                format!("; would be refused if enforced: {}", observed.join(", "))
            };
            let words = format!("goes to target {side}{moved}, priority {}{would}", permit.priority());
            (words, Some(permit.route().name.to_string()))
        }
        Verdict::Answer(answer) => {
            (format!("is answered here: {}", answer.status), Some(answer.route.name.to_string()))
        }
        Verdict::Refuse(refusal) => {
            let row = refusal.because.row();
            let words = format!("refused: {} {} ({})", row.status, row.slug, row.says);
            (words, refusal.route.as_ref().map(|route| route.name.to_string()))
        }
        Verdict::AskKeys { tokens, .. } => {
            (format!("needs the keys of {}, which are not at hand here", tokens.issuer.name()), None)
        }
    };
    let _ = writeln!(told, "{words}");
    route
}
