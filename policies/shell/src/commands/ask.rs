//! Questions that are put to the data path itself: `explain`, from files or to a running gateway; and `rollback`.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};
use policies::request::Way;
use policies::spiffe::SpiffeId;

use crate::explain::{Question, explain};
use crate::reload::{fetched, materials};

/// A running gateway answers within this, or not at all.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_MAX: u64 = 16 << 20;

/// What becomes of a request.
#[derive(Args)]
pub struct Explain {
    /// The method.
    method: String,
    /// The URL, as the client would write it: http://shop.example/orders/42
    url: String,
    /// A header field of the request, `name: value`.
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// Where the request comes from. Default: this machine.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// Which door of a sidecar it comes to: inbound or outbound. Default: the likely one.
    #[arg(long, value_name = "DOOR")]
    door: Option<String>,
    /// Who the caller has proved to be: spiffe://shop.example/ns/shop/sa/web
    #[arg(long, value_name = "ID")]
    peer: Option<String>,
    /// A file of JSON that stands for the claims of a verified token. Not with --admin.
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    claims: Option<PathBuf>,
    /// The document: a file or a directory.
    #[arg(long, env = "BANYAN_POLICIES", value_name = "PATH", required_unless_present = "admin")]
    policies: Option<PathBuf>,
    // No conflict with `policies`: that is set in the environment wherever a gateway runs, and would refuse this.
    /// The admin pages of a running gateway, `http://127.0.0.1:9901`: it is asked instead of a document.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

/// An earlier generation, in force again.
#[derive(Args)]
pub struct Rollback {
    /// Which generation. Default: the one before.
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// The admin pages of the gateway.
    #[arg(long, default_value = "http://127.0.0.1:9901", value_name = "URL")]
    admin: String,
    /// A file with the admin token.
    #[arg(long, env = "BANYAN_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: PathBuf,
}

impl Explain {
    pub(super) fn answer(&self) -> Result<String, String> {
        let path = match (&self.admin, &self.policies) {
            (Some(admin), _) => return self.ask(admin),
            (None, Some(path)) => path,
            (None, None) => return Err("name a document with --policies, or a gateway with --admin".into()),
        };
        let document = super::load(path)?;
        let question = Question {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: fields(&self.headers)?,
            from: self.from,
            door: self.door()?,
            peer: self.peer.as_ref().map(SpiffeId::parse).transpose().map_err(|error| error.to_string())?,
            claims: self.claims.as_ref().map(claims).transpose()?,
        };
        explain(&document, &materials(&fetched(&document)), 0, &question)
    }

    fn door(&self) -> Result<Option<Way>, String> {
        let door = self.door.as_deref();
        let read =
            |door: &str| Way::parse(door).ok_or(format!("`{door}` is no door: edge, inbound or outbound"));
        door.map(read).transpose()
    }

    fn ask(&self, admin: &str) -> Result<String, String> {
        let mut query = format!("method={}&url={}", encoded(&self.method), encoded(&self.url));
        for header in &self.headers {
            query.push_str(&format!("&header={}", encoded(header)));
        }
        if let Some(from) = self.from {
            query.push_str(&format!("&from={from}"));
        }
        for (name, value) in [("door", &self.door), ("peer", &self.peer)] {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        call(admin, "GET", &format!("/explain?{query}"), "")
    }
}

impl Rollback {
    pub(super) fn answer(&self) -> Result<String, String> {
        let path = &self.admin_token_file;
        let token = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let to = self.to.map(|to| format!("?to={to}")).unwrap_or_default();
        let field = format!("Authorization: Bearer {}\r\n", token.trim());
        call(&self.admin, "POST", &format!("/rollback{to}"), &field)
    }
}

fn fields(lines: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) =
            parsed.ok_or_else(|| format!("`{line}` is no header field: expected `name: value`"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn claims(path: &PathBuf) -> Result<serde_json::Value, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
    serde_json::from_str(&text).map_err(|error| told(&error))
}

/// One small request to the admin pages, which are plain HTTP on this machine.
fn call(admin: &str, method: &str, target: &str, field: &str) -> Result<String, String> {
    let told = |error: &dyn std::fmt::Display| format!("{admin}: {error}");
    if admin.starts_with("https://") {
        return Err(told(&"the admin pages speak plain HTTP: http://address:port"));
    }
    let host = admin.strip_prefix("http://").unwrap_or(admin).trim_end_matches('/');
    let mut stream = connect(host).map_err(|error| told(&error))?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n{field}\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(|error| told(&error))?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer).map_err(|error| told(&error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(told(&body.trim())) }
}

/// Whichever of its addresses answers first in their order.
fn connect(host: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("it has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, WITHIN) {
            Ok(stream) => {
                stream.set_read_timeout(Some(WITHIN))?;
                stream.set_write_timeout(Some(WITHIN))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Everything but letters, digits and four marks, percent-encoded.
fn encoded(text: &str) -> String {
    let each = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(each).collect()
}
