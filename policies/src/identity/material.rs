//! Key material as ring wants it, checked once when it is loaded. What a key may verify follows from what it is
//! made of, so a public key can never be used as an HMAC secret: it is of another kind.

use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{digest, hmac};
use simple_asn1::ASN1Block;

use super::algorithm::{Algorithm, AlgorithmSet};
use super::keys::KeyFault;

/// RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used with these algorithms."
const RSA_BITS_MIN: usize = 2048;

/// The most that ring verifies. A longer modulus makes each check slower and nothing safer.
const RSA_BITS_MAX: usize = 8192;

/// An uncompressed point (SEC 1 section 2.3.3): a tag and two coordinates, on P-256 and on P-384.
const P256_POINT_BYTES: usize = 1 + 2 * 32;
const P384_POINT_BYTES: usize = 1 + 2 * 48;
const UNCOMPRESSED: u8 = 4;

/// What a signature is checked with.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Material {
    /// A point on P-256, uncompressed.
    Ecdsa256(Box<[u8]>),
    /// A point on P-384, uncompressed.
    Ecdsa384(Box<[u8]>),
    /// An Ed25519 public key.
    Ed25519(Box<[u8]>),
    /// A shared secret.
    Hmac(Box<[u8]>),
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
}

impl Material {
    /// Takes the material out of the library's key and refuses what is too weak or not what it says.
    pub(super) fn of(key: &DecodingKey) -> Result<Self, KeyFault> {
        match (key.family(), key.kind()) {
            (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => rsa(n, e),
            (AlgorithmFamily::Rsa, DecodingKeyKind::SecretOrDer(der)) => rsa_der(der),
            (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => ec(point),
            (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(key)) if key.len() == 32 => {
                Ok(Self::Ed25519(key.as_slice().into()))
            }
            (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => hmac(secret),
            _ => Err(KeyFault::Unreadable),
        }
    }

    /// What it can verify, by what it is.
    pub(super) fn algorithms(&self) -> AlgorithmSet {
        use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Ecdsa256(_) => [ES256].into_iter().collect(),
            Self::Ecdsa384(_) => [ES384].into_iter().collect(),
            Self::Ed25519(_) => [EdDSA].into_iter().collect(),
            // RFC 7518 section 3.2: "A key of the same size as the hash output [...] or larger MUST be used".
            Self::Hmac(secret) => {
                let long_enough =
                    [(HS256, 32), (HS384, 48), (HS512, 64)].into_iter().filter(|(_, n)| secret.len() >= *n);
                long_enough.map(|(algorithm, _)| algorithm).collect()
            }
            Self::Rsa { .. } => [PS256, PS384, PS512, RS256, RS384, RS512].into_iter().collect(),
        }
    }

    /// Is this the signature of this message under this key? An algorithm that does not go with the material is no.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let public = |how: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(how, key).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::Ecdsa256(point), Algorithm::ES256) => public(&ECDSA_P256_SHA256_FIXED, point),
            (Self::Ecdsa384(point), Algorithm::ES384) => public(&ECDSA_P384_SHA384_FIXED, point),
            (Self::Ed25519(key), Algorithm::EdDSA) => public(&ED25519, key),
            (Self::Hmac(secret), _) => hmac_algorithm(algorithm)
                .is_some_and(|how| hmac::verify(&hmac::Key::new(how, secret), message, signature).is_ok()),
            (Self::Rsa { n, e }, _) => rsa_algorithm(algorithm)
                .is_some_and(|how| RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()),
            _ => false,
        }
    }

    /// Tells two materials apart in a hash, with their lengths so that no two read the same.
    pub(super) fn digest_into(&self, context: &mut digest::Context) {
        let parts: [&[u8]; 3] = match self {
            Self::Ecdsa256(point) => [b"ecdsa256", point, &[]],
            Self::Ecdsa384(point) => [b"ecdsa384", point, &[]],
            Self::Ed25519(key) => [b"ed25519", key, &[]],
            Self::Hmac(secret) => [b"hmac", secret, &[]],
            Self::Rsa { n, e } => [b"rsa", n, e],
        };
        for part in parts {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
    }
}

/// The HMAC of this name, if it is one.
pub(super) fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_algorithm(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::PS256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&RSA_PSS_2048_8192_SHA512),
        Algorithm::RS256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

fn ec(point: &[u8]) -> Result<Material, KeyFault> {
    match (point.first(), point.len()) {
        (Some(&UNCOMPRESSED), P256_POINT_BYTES) => Ok(Material::Ecdsa256(point.into())),
        (Some(&UNCOMPRESSED), P384_POINT_BYTES) => Ok(Material::Ecdsa384(point.into())),
        _ => Err(KeyFault::Curve),
    }
}

/// Old configurations of other gateways gave the PEM text of a public key as the "secret" of HS256, and anybody who
/// knew the public key could sign. No true secret begins like this.
fn hmac(secret: &[u8]) -> Result<Material, KeyFault> {
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err(KeyFault::SecretIsPem);
    }
    let material = Material::Hmac(secret.into());
    if material.algorithms().is_empty() { Err(KeyFault::SecretShort) } else { Ok(material) }
}

fn rsa(n: &[u8], e: &[u8]) -> Result<Material, KeyFault> {
    let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0));
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(KeyFault::RsaSize { bits });
    }
    // An exponent of 1 makes every message its own signature, an even one has no inverse, and ring takes five bytes.
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    if !odd || e == [1] || e.len() > 5 {
        return Err(KeyFault::RsaExponent);
    }
    Ok(Material::Rsa { n: n.into(), e: e.into() })
}

/// RFC 8017 appendix A.1.1: `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`
fn rsa_der(der: &[u8]) -> Result<Material, KeyFault> {
    let blocks = simple_asn1::from_der(der).map_err(|_| KeyFault::Unreadable)?;
    let [ASN1Block::Sequence(_, numbers)] = blocks.as_slice() else { return Err(KeyFault::Unreadable) };
    match numbers.as_slice() {
        [ASN1Block::Integer(_, n), ASN1Block::Integer(_, e)] => rsa(&n.to_bytes_be().1, &e.to_bytes_be().1),
        _ => Err(KeyFault::Unreadable),
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.split_at(zeros).1
}
