//! The certificates of one run: an authority that lives as long as the run, and one certificate for each workload.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::shop::{SERVICES, spiffe};

/// Certificates that cannot be made or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum AuthorityError {
    #[error("certificates cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("certificates cannot be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// Makes an authority and the certificates of the gateway and all services, and writes them into this folder: `ca.pem`,
/// `NAME.crt`, `NAME.key`. The authority's own key is nowhere but here, and forgotten.
pub fn issue(folder: &Path) -> Result<(), AuthorityError> {
    fs::create_dir_all(folder)?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "the shop's authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::write(folder.join("ca.pem"), authority.pem())?;
    for name in SERVICES.iter().map(|service| service.name).chain(["gateway"]) {
        let key = KeyPair::generate()?;
        // Sidecars know each other by the SPIFFE id; the gateway, as any web client, by the name.
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names.push(SanType::URI(spiffe(name).try_into()?));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &authority)?;
        fs::write(folder.join(format!("{name}.crt")), certificate.pem())?;
        write_secret(&folder.join(format!("{name}.key")), &key.serialize_pem())?;
    }
    Ok(())
}

/// For our eyes only.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}
