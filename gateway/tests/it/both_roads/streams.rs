//! The same by HTTP/2: each request a stream, all on one connection, one after the other or at once.

use bytes::Bytes;
use futures_util::future::{join, join_all};
use h2::Reason;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};
use testkit::PATIENCE;
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::asks::{Ask, Body};
use super::message::{End, Fields, Head, text};
use super::upstream::CASE;
use super::{Case, Road, Story, Told};

/// What HTTP/2 says by other means, or not at all.
const NOT_HERE: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "upgrade",
];

/// Tells the case of one connection.
pub fn tell(road: &Road, case: &Case, names: &[String], probe: &str) -> Story {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let stream = TcpStream::connect(road.world.at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut told = Vec::new();
        if case.together {
            let all = names.iter().zip(&case.exchanges);
            told = join_all(all.map(|(name, exchange)| one(send.clone(), &exchange.ask, name))).await;
        } else {
            for (name, exchange) in names.iter().zip(&case.exchanges) {
                told.push(one(send.clone(), &exchange.ask, name).await);
                arrivals(road, name, told.last_mut()).await;
            }
        }
        for (name, told) in names.iter().zip(&mut told).filter(|_| case.together) {
            arrivals(road, name, Some(told)).await;
        }
        let bodies = case.exchanges.iter().any(|exchange| !matches!(exchange.ask.body, Body::None));
        let kept = bodies || is_kept(road, send, probe).await;
        driver.abort();
        Story { told, kept }
    })
}

/// Is another request answered? Behind a body that is not asked, see [`super::differences`].
async fn is_kept(road: &Road, send: SendRequest<Bytes>, probe: &str) -> bool {
    road.play_probe(probe);
    let request = Request::get("http://shop.example/probe").header(CASE, probe).body(()).unwrap();
    let Ok(mut send) = send.ready().await else { return false };
    match send.send_request(request, true) {
        Ok((answer, _)) => tokio::time::timeout(PATIENCE, answer).await.is_ok_and(|answer| answer.is_ok()),
        Err(_) => false,
    }
}

async fn arrivals(road: &Road, name: &str, told: Option<&mut Told>) {
    let (upstream, name) = (road.upstream.clone(), name.to_owned());
    let arrived = tokio::task::spawn_blocking(move || upstream.arrived(&name)).await.unwrap();
    if let Some(told) = told {
        told.arrived = arrived;
    }
}

async fn one(send: SendRequest<Bytes>, ask: &Ask, name: &str) -> Told {
    let mut told = Told::default();
    match tokio::time::timeout(PATIENCE, exchange(send, ask, name, &mut told)).await {
        Ok(end) => told.end = end,
        Err(_) => told.end = End::Silent,
    }
    told
}

async fn exchange(send: SendRequest<Bytes>, ask: &Ask, name: &str, told: &mut Told) -> End {
    let Ok(mut send) = send.ready().await else { return End::Cut };
    let bodiless = matches!(ask.body, Body::None);
    let Ok((answer, upload)) = send.send_request(request(ask, name), bodiless) else { return End::Garbled };
    let uploading = async {
        if !bodiless {
            let _ = upload_to(upload, ask).await;
        }
    };
    let answering = async {
        let Ok(answer) = answer.await else { return End::Cut };
        let (head, mut body) = answer.into_parts();
        let line = format!("HTTP/2 {}", head.status.as_u16());
        told.head = Some(Head { line, fields: fields(&head.headers) });
        while let Some(data) = body.data().await {
            let Ok(data) = data else { return End::Cut };
            let _ = body.flow_control().release_capacity(data.len());
            told.body.extend_from_slice(&data);
        }
        match body.trailers().await {
            Ok(trailers) => {
                told.trailers = trailers.map(|trailers| fields(&trailers)).unwrap_or_default();
                End::Whole
            }
            Err(_) => End::Cut,
        }
    };
    join(uploading, answering).await.1
}

async fn upload_to(mut upload: h2::SendStream<Bytes>, ask: &Ask) -> Result<(), h2::Error> {
    let mut trailers = HeaderMap::new();
    let mut pieces = match &ask.body {
        Body::Chunked { chunks, trailers: lines } => {
            put(&mut trailers, lines.iter().copied());
            chunks.iter().map(|chunk| chunk.data.0.clone()).collect()
        }
        Body::Length(bytes) => vec![bytes.0.clone()],
        Body::Unchunked(bytes) => vec![bytes.as_bytes().to_vec()],
        Body::None => Vec::new(),
    };
    let cut = ask.only.filter(|_| !ask.is_whole());
    if let Some(only) = cut {
        let mut all = pieces.concat();
        all.truncate(usize::from(only));
        pieces = vec![all];
    }
    for piece in pieces {
        let mut piece = Bytes::from(piece);
        while !piece.is_empty() {
            upload.reserve_capacity(piece.len());
            let Some(room) = futures_util::future::poll_fn(|context| upload.poll_capacity(context)).await
            else {
                return Ok(());
            };
            let now = piece.split_to(room?.min(piece.len()));
            upload.send_data(now, false)?;
        }
    }
    if cut.is_some() {
        upload.send_reset(Reason::CANCEL);
        return Ok(());
    }
    if trailers.is_empty() { upload.send_data(Bytes::new(), true) } else { upload.send_trailers(trailers) }
}

fn request(ask: &Ask, name: &str) -> Request<()> {
    let target = ask.target.strip_prefix("http://shop.example").unwrap_or(&ask.target);
    let uri: Uri = format!("http://shop.example{target}")
        .parse()
        .unwrap_or_else(|_| Uri::from_static("http://shop.example/"));
    let mut request =
        Request::builder().version(Version::HTTP_2).method(ask.method).uri(uri).body(()).unwrap();
    let lines = ask.fields.iter().flat_map(|field| field.split("\r\n"));
    put(request.headers_mut(), lines);
    request.headers_mut().insert(CASE, HeaderValue::from_str(name).unwrap());
    if let Body::Length(bytes) = &ask.body {
        request.headers_mut().insert("content-length", bytes.0.len().into());
    }
    request
}

fn put<'a>(fields: &mut HeaderMap, lines: impl Iterator<Item = &'a str>) {
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']));
        let here = !NOT_HERE.contains(&name.as_str()) && (name != "te" || value == "trailers");
        if let (true, Ok(name), Ok(value)) =
            (here, HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            fields.append(name, value);
        }
    }
}

fn fields(map: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in map {
        fields.entry(name.to_string()).or_default().push(text(value.as_bytes()));
    }
    fields
}
