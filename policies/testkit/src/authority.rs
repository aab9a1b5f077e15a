//! Authorities that make certificates, for servers and for workloads.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::file;

/// An authority that makes certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Pair {
    pub crt: String,
    pub key: String,
    pub der: CertificateDer<'static>,
    secret: Vec<u8>,
}

impl Authority {
    #[allow(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pair(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        Pair {
            crt: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            secret: key.serialize_der(),
        }
    }

    /// The certificate of a workload, with its SPIFFE id.
    pub fn workload(&self, id: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair {
            crt: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            secret: key.serialize_der(),
        }
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

impl Pair {
    pub fn put(&self, folder: &Path, name: &str) {
        file(folder, &format!("{name}.crt"), &self.crt);
        file(folder, &format!("{name}.key"), &self.key);
    }

    pub fn secret(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.secret.clone()).into()
    }
}
