//! TLS towards targets: the authorities that are believed, the certificate that is shown. Read from files when a plan is
//! prepared; what cannot be read refuses the plan, and is never replaced by the system's trust.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use policies::document::target::Protocol;
use policies::plan::{Target, Whereabouts};
use policies::spiffe::SpiffeId;
use policies::state::print;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::mesh::{self, Identity, Vouching};

/// The authorities that are believed where a target names none.
pub struct Roots {
    /// Who we are in the mesh, for targets that are known by their SPIFFE id.
    pub identity: Option<Arc<Identity>>,
    store: OnceLock<Arc<RootCertStore>>,
    ca: Option<Arc<[CertificateDer<'static>]>>,
    print: u64,
}

/// What TLS towards one target needs.
pub struct Material {
    name: Option<String>,
    /// The authorities that are believed; the system's where there are none.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The certificates that are shown, and their key.
    pub pair: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    /// All of it, for whoever speaks TLS by rustls.
    pub client: Arc<ClientConfig>,
    /// Equal for equal contents of all files.
    pub print: u64,
}

/// A file that is no good, or a setting without its other half.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum MaterialError {
    #[error("{0}: {1}")]
    File(String, String),
    #[error("tls: `certificate` and `key` need each other")]
    Half,
    #[error("tls: the name the certificate must be for is missing: an address alone names no server")]
    Nameless,
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
    #[error(
        "tls.spiffe: nobody vouches for it: name a `ca`, or start with --certificate, --key and --authorities"
    )]
    Voucherless,
}

impl Roots {
    /// The system's authorities, or those of a file.
    pub fn load(file: Option<&Path>) -> Result<Self, MaterialError> {
        let Some(file) = file else {
            return Ok(Self { identity: None, store: OnceLock::new(), ca: None, print: 0 });
        };
        let mut store = RootCertStore::empty();
        let path = file.display().to_string();
        let certificates = certificates(&path)?;
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|error| told(&path, &error))?;
        }
        Ok(Self {
            identity: None,
            store: Arc::new(store).into(),
            ca: Some(readable(&path, certificates.clone())?),
            print: print(&certificates),
        })
    }

    /// For our own calls, and for targets that name no authorities. The system's are read when somebody first asks: they
    /// are a megabyte, and most proxies never need them.
    pub fn store(&self) -> Arc<RootCertStore> {
        let read = || {
            let mut store = RootCertStore::empty();
            for certificate in rustls_native_certs::load_native_certs().certs {
                // The system's set has old ones that nobody can read; one good one is enough to begin with.
                let _ = store.add(certificate);
            }
            Arc::new(store)
        };
        self.store.get_or_init(read).clone()
    }
}

impl Material {
    /// The name the certificate must be for.
    pub fn name_for<'a>(&'a self, host: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(host)
    }

    /// The same, for rustls.
    pub fn server_name(&self, host: &str) -> Option<ServerName<'static>> {
        ServerName::try_from(self.name_for(host).to_owned()).ok()
    }
}

/// What this target's TLS needs; nothing if it speaks none.
pub(super) fn material(target: &Target, roots: &Roots) -> Result<Option<Material>, MaterialError> {
    if !super::speaks_tls(target) {
        return Ok(None);
    }
    let written = target.tls.clone().unwrap_or_default();
    if written.spiffe.is_none() && written.name.is_none() && !has_names(target) {
        return Err(MaterialError::Nameless);
    }
    let provider = Arc::new(ring::default_provider());
    let mut prints = vec![roots.print];
    let (ca, store) = match &written.ca {
        // A SPIFFE id is vouched for by our own authorities.
        None if written.spiffe.is_some() => (None, Arc::new(RootCertStore::empty())),
        None => (roots.ca.clone(), roots.store()),
        Some(path) => {
            let certificates = certificates(path)?;
            let mut store = RootCertStore::empty();
            for certificate in &certificates {
                store.add(certificate.clone()).map_err(|error| told(path, &error))?;
            }
            prints.push(print(&certificates));
            (Some(readable(path, certificates)?), Arc::new(store))
        }
    };
    let pair = match (&written.certificate, &written.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, &error))?;
            prints.push(print(&(&chain, secret.secret_der())));
            readable(certificate, chain.clone())?;
            Some((chain, Arc::new(secret)))
        }
        _ => return Err(MaterialError::Half),
    };
    let shown = pair.as_ref().map(|(chain, key)| (chain.clone(), key.clone_key()));
    let client = match &written.spiffe {
        Some(id) => {
            let id = SpiffeId::parse(id).map_err(|error| told("tls.spiffe", &error))?;
            let vouching = match (&written.ca, &roots.identity) {
                (Some(_), _) => Vouching::These(store),
                (None, Some(ours)) => Vouching::Ours(ours.clone()),
                (None, None) => return Err(MaterialError::Voucherless),
            };
            mesh::client(id, vouching, roots.identity.clone(), shown)
        }
        None => {
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(store);
            match shown {
                Some((chain, key)) => builder.with_client_auth_cert(chain, key),
                None => Ok(builder.with_no_client_auth()),
            }
        }
    };
    let mut client = client.map_err(|error| told(written.key.as_deref().unwrap_or("tls"), &error))?;
    if target.protocol == Protocol::Http2 {
        client.alpn_protocols = vec![b"h2".to_vec()];
    }
    let print = print(&(prints, &written));
    Ok(Some(Material { name: written.name, ca, pair, client: Arc::new(client), print }))
}

/// Does the target's address name a server, or is it a number only? A number is a name too, if a certificate has it.
fn has_names(target: &Target) -> bool {
    match &target.whereabouts {
        Whereabouts::Endpoints(urls) => urls.iter().all(|url| !url.host.is_empty()),
        Whereabouts::Dns(dns) => !dns.name.is_empty(),
        Whereabouts::Kubernetes(_) => true,
    }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| told(path, &error))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| told(path, &error))?;
    if found.is_empty() { Err(told(path, &"there is no certificate in it")) } else { Ok(found) }
}

/// Certificates as engines want them. Some readers panic on a certificate that is none: looked at before.
fn readable(
    path: &str,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<Arc<[CertificateDer<'static>]>, MaterialError> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    for certificate in &certificates {
        X509Certificate::from_der(certificate).map_err(|error| told(path, &error))?;
    }
    Ok(certificates.into())
}

fn told(path: &str, error: &dyn std::fmt::Display) -> MaterialError {
    MaterialError::File(path.to_owned(), error.to_string())
}
