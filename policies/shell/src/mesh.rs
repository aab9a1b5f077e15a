//! The workload's own identity: a certificate with a SPIFFE id, its key, and the authorities that vouch for others. Read
//! from files, swapped while running: new handshakes use what is new, open connections go on.
//!
//! Two authorities at once are two certificates in one file: that is how an authority is changed without a gap.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use policies::spiffe::SpiffeId;
use policies::state::print;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Where the identity is.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, and those between it and an authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities.
    pub authorities: PathBuf,
}

/// The identity in use.
#[derive(Debug)]
pub struct Identity {
    files: Files,
    papers: ArcSwap<Papers>,
}

/// What was read at one moment.
#[derive(Debug)]
struct Papers {
    id: SpiffeId,
    expires: i64,
    key: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
    server: Arc<ServerConfig>,
    print: u64,
}

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
pub struct IdentityError(String, String);

fn told(path: &Path, error: &dyn std::fmt::Display) -> IdentityError {
    IdentityError(path.display().to_string(), error.to_string())
}

impl Identity {
    /// Reads the files.
    pub fn load(files: Files) -> Result<Self, IdentityError> {
        let papers = read(&files)?;
        Ok(Self { files, papers: ArcSwap::from_pointee(papers) })
    }

    /// Reads them again. `Ok(true)`: there was something new. On an error all stays as it is.
    pub fn reload(&self) -> Result<bool, IdentityError> {
        let papers = read(&self.files)?;
        let new = papers.print != self.papers.load().print;
        if new {
            self.papers.store(Arc::new(papers));
        }
        Ok(new)
    }

    /// Who we are.
    pub fn id(&self) -> SpiffeId {
        self.papers.load().id.clone()
    }

    /// When the certificate ends, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.papers.load().expires
    }

    /// How peers are taken: with a certificate that an authority of ours vouches for, or not at all.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.papers.load().server.clone()
    }
}

fn read(files: &Files) -> Result<Papers, IdentityError> {
    let chain = certificates(&files.certificate)?;
    let leaf = chain.first().ok_or_else(|| told(&files.certificate, &"there is no certificate in it"))?;
    let id = spiffe_of(leaf)
        .ok_or_else(|| told(&files.certificate, &"the certificate has no SPIFFE id, or several"))?;
    let expires = expires(leaf).map_err(|error| told(&files.certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| told(&files.key, &error))?;
    let roots = roots(&files.authorities)?;
    let print = print(&(&chain, secret.secret_der(), &certificates(&files.authorities)?));
    let provider = Arc::new(ring::default_provider());
    let key = CertifiedKey::from_der(chain, secret, &provider)
        .map_err(|error| told(&files.key, &format!("not the key of the certificate: {error}")))?;
    let key = Arc::new(key);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| told(&files.authorities, &error))?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&files.certificate, &error))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Papers { id, expires, key, roots, server: Arc::new(server), print })
}

/// The authorities of a file.
fn roots(path: &Path) -> Result<Arc<RootCertStore>, IdentityError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| told(path, &error))?;
    }
    if store.is_empty() { Err(told(path, &"there is no certificate in it")) } else { Ok(Arc::new(store)) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| told(path, &error))?;
    found.collect::<Result<_, _>>().map_err(|error| told(path, &error))
}

fn expires(certificate: &[u8]) -> Result<i64, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    Ok(parsed.validity().not_after.timestamp())
}

/// Who vouches for a target that is known by its SPIFFE id.
#[derive(Clone, Debug)]
pub enum Vouching {
    /// The authorities of our own identity, whichever are in use at the handshake.
    Ours(Arc<Identity>),
    /// These.
    These(Arc<RootCertStore>),
}

/// TLS towards a target that has to prove a SPIFFE id; its name does not matter. We show our own certificate, if we have one
/// and `shown` is not another.
pub fn client(
    expected: SpiffeId,
    vouching: Vouching,
    ours: Option<Arc<Identity>>,
    shown: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Proof { expected, vouching, algorithms };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (shown, ours) {
        (Some((chain, key)), _) => builder.with_client_auth_cert(chain, key)?,
        (None, Some(ours)) => builder.with_client_cert_resolver(Arc::new(Shown(ours))),
        (None, None) => builder.with_no_client_auth(),
    };
    // A session that is taken up again was vouched for by whoever was believed back then.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Our certificate as it is at the handshake.
#[derive(Debug)]
struct Shown(Arc<Identity>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.papers.load().key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A certificate is good if an authority vouches for it and its one URI name is the expected id.
#[derive(Debug)]
struct Proof {
    expected: SpiffeId,
    vouching: Vouching,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Proof {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = match &self.vouching {
            Vouching::Ours(ours) => ours.papers.load().roots.clone(),
            Vouching::These(roots) => roots.clone(),
        };
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, now, self.algorithms.all)?;
        match spiffe_of(leaf) {
            Some(id) if id == self.expected => Ok(ServerCertVerified::assertion()),
            _ => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The one URI name of a verified certificate, if it is a SPIFFE id: with two there would be two identities.
pub fn spiffe_of(certificate: &[u8]) -> Option<SpiffeId> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => SpiffeId::parse(uri).ok(),
        _ => None,
    }
}
