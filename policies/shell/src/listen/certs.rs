//! The certificates of a directory: `NAME.crt` with `NAME.key` beside it, and `NAME.client-ca.crt` where clients must show
//! one too. Loaded whole or not at all; swapped while connections go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::Facts;
use super::names::Names;

/// Sessions remembered for each certificate, for clients that come back.
const SESSIONS: usize = 10_000;
const CLIENT_CA: &str = ".client-ca.crt";

/// A certificate and how its names are served.
#[derive(Debug)]
pub struct Pair {
    /// The name of its files.
    pub name: Box<str>,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
    /// Must clients show a certificate?
    pub demands: bool,
    pub(super) config: Arc<ServerConfig>,
}

/// Everything in the directory.
#[derive(Debug)]
pub struct Table {
    names: Names<Arc<Pair>>,
    pairs: Vec<Arc<Pair>>,
    print: Vec<(PathBuf, Option<SystemTime>, u64)>,
}

/// The certificates in use.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    table: ArcSwap<Table>,
}

/// What is wrong with a directory of certificates: all of it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct CertsError(pub Vec<String>);

impl Certificates {
    /// Reads the directory.
    pub fn load(folder: &Path) -> Result<Self, CertsError> {
        Ok(Self { folder: folder.into(), table: ArcSwap::from_pointee(read(folder)?) })
    }

    /// Reads it again if anything in it changed. `Ok(true)`: new handshakes get what is new. On an error all stays as it is.
    pub fn reload(&self) -> Result<bool, CertsError> {
        if self.table.load().print == print(&self.folder) {
            return Ok(false);
        }
        self.table.store(Arc::new(read(&self.folder)?));
        Ok(true)
    }

    /// Name and end of each.
    pub fn expiries(&self) -> Vec<(Box<str>, i64)> {
        self.table.load().pairs.iter().map(|pair| (pair.name.clone(), pair.expires)).collect()
    }

    /// May a request for this host come over this connection? Not if the host's certificate demands one of its clients,
    /// and this connection's client was never asked for it, or by another name with other authorities.
    pub fn admits(&self, facts: &Facts, host: &str) -> bool {
        let table = self.table.load();
        match table.names.find(Some(host)) {
            Some(pair) if pair.demands => facts.shown_to.as_deref() == Some(&*pair.name),
            _ => true,
        }
    }

    pub(super) fn find(&self, sni: Option<&str>) -> Option<Arc<Pair>> {
        self.table.load().names.find(sni).cloned()
    }
}

/// What the directory looks like from outside: enough to see that something changed.
fn print(folder: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut seen: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let about = std::fs::metadata(&path).ok()?;
            about.is_file().then(|| (path, about.modified().ok(), about.len()))
        })
        .collect();
    seen.sort();
    seen
}

fn read(folder: &Path) -> Result<Table, CertsError> {
    let print = print(folder);
    let (mut names, mut pairs, mut wrong) = (Names::default(), Vec::new(), Vec::new());
    for (path, ..) in &print {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(name) = file.strip_suffix(".crt").filter(|_| !file.ends_with(CLIENT_CA)) else { continue };
        match pair(folder, name) {
            Ok((pair, hosts)) => {
                let pair = Arc::new(pair);
                hosts.iter().for_each(|host| names.add(host, pair.clone()));
                pairs.push(pair);
            }
            Err(problem) => wrong.push(problem),
        }
    }
    if pairs.is_empty() && wrong.is_empty() {
        wrong.push(format!("{}: there is no NAME.crt", folder.display()));
    }
    if !wrong.is_empty() {
        return Err(CertsError(wrong));
    }
    let chosen = pairs.iter().find(|pair| &*pair.name == "default").or(pairs.first());
    if let Some(pair) = chosen {
        names.set_unnamed(pair.clone());
    }
    Ok(Table { names, pairs, print })
}

fn pair(folder: &Path, name: &str) -> Result<(Pair, Vec<String>), String> {
    let at = |ending: &str| folder.join(format!("{name}{ending}"));
    let (crt, key, ca) = (at(".crt"), at(".key"), at(CLIENT_CA));
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = chain(&crt)?;
    let leaf = chain.first().ok_or_else(|| told(&crt, &"there is no certificate in it"))?;
    let (expires, hosts) = about(leaf).map_err(|error| told(&crt, &error))?;
    let secret = PrivateKeyDer::from_pem_file(&key).map_err(|error| told(&key, &error))?;
    let provider = Arc::new(ring::default_provider());
    let certified = CertifiedKey::from_der(chain, secret, &provider)
        .map_err(|error| told(&key, &format!("not the key of {}: {error}", crt.display())))?;
    let verifier = if ca.exists() {
        let mut roots = RootCertStore::empty();
        for certificate in self::chain(&ca)? {
            roots.add(certificate).map_err(|error| told(&ca, &error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        Some(verifier.map_err(|error| told(&ca, &error))?)
    } else {
        None
    };
    let demands = verifier.is_some();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&crt, &error))?
        .with_client_cert_verifier(verifier.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    Ok((Pair { name: name.into(), expires, demands, config: Arc::new(shaped(config)) }, hosts))
}

/// Each certificate remembers its own sessions: one that crossed from a host that asks its clients for nothing to one that
/// demands a certificate would skip the question (CVE-2025-23419).
fn shaped(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    if let Ok(ticketer) = ring::Ticketer::new() {
        config.ticketer = ticketer;
    }
    config
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| told(&error))?;
    let chain: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| told(&error))?;
    if chain.is_empty() { Err(told(&io::Error::other("there is no certificate in it"))) } else { Ok(chain) }
}

/// When a certificate ends, and which hosts it is for.
fn about(certificate: &CertificateDer<'_>) -> Result<(i64, Vec<String>), String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let alternatives = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let hosts: Vec<_> = names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    Ok((parsed.validity().not_after.timestamp(), hosts))
}
