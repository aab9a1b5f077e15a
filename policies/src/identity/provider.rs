//! Lends ring to the `jsonwebtoken` crate, which brings no cryptography of its own.
//!
//! The proxies verify with ring directly (`material.rs`) and never depend on what is installed. Whoever makes tokens
//! or key sets with the library (tests, the example user service) calls [`install_provider`] first. Signing asks the
//! operating system for randomness because ring accepts no other; no decision of this crate signs anything.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use ring::{digest, hmac};
use signature::{Signer, Verifier};

use super::algorithm::Algorithm;
use super::material::{Material, hmac_algorithm};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: rsa_public_of_private,
        rsa_pub_components_from_public_key: rsa_public,
        ec_pub_components_from_private_key: ec_public_of_private,
        ed_pub_components_from_private_key: ed_public_of_private,
        compute_digest: digest_of,
    },
};

/// Makes ring the cryptography of `jsonwebtoken` in this process. May be called any number of times from anywhere;
/// if another provider was installed before, that one stays.
pub fn install_provider() {
    let _already_there = RING.install_default();
}

struct RingVerifier {
    algorithm: Algorithm,
    material: Material,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let genuine = self.material.verifies(self.algorithm, message, signature);
        if genuine { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let material = Material::of(key).map_err(|_| ErrorKind::InvalidKeyFormat)?;
    if !material.algorithms().contains(*algorithm) {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, material }))
}

enum SigningKey {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
    Hmac(hmac::Key),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
}

struct RingSigner {
    algorithm: Algorithm,
    key: SigningKey,
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        let signed = match &self.key {
            SigningKey::Ecdsa(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec())
            }
            SigningKey::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            SigningKey::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            SigningKey::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, &random, message, &mut signature).map(|()| signature)
            }
        };
        signed.map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let key = match algorithm.family() {
        AlgorithmFamily::Ec => SigningKey::Ecdsa(ec_pair(key.as_bytes(), *algorithm)?.into()),
        AlgorithmFamily::Ed => SigningKey::Ed25519(ed_pair(key.as_bytes())?),
        AlgorithmFamily::Hmac => {
            let how = hmac_algorithm(*algorithm).ok_or(ErrorKind::InvalidAlgorithm)?;
            SigningKey::Hmac(hmac::Key::new(how, key.as_bytes()))
        }
        AlgorithmFamily::Rsa => SigningKey::Rsa(rsa_pair(key.as_bytes())?.into(), rsa_padding(*algorithm)?),
    };
    Ok(Box::new(RingSigner { algorithm: *algorithm, key }))
}

fn ec_pair(pkcs8: &[u8], algorithm: Algorithm) -> Result<EcdsaKeyPair, Error> {
    let curve: &EcdsaSigningAlgorithm = match algorithm {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => return Err(ErrorKind::InvalidEcdsaKey.into()),
    };
    EcdsaKeyPair::from_pkcs8(curve, pkcs8, &SystemRandom::new())
        .map_err(|_| ErrorKind::InvalidEcdsaKey.into())
}

/// `maybe_unchecked`: what openssl writes does not hold the public half that ring would compare.
fn ed_pair(pkcs8: &[u8]) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| ErrorKind::InvalidEddsaKey.into())
}

/// The library unwraps PKCS#8 by itself and hands over what is inside; a caller with raw DER may hand over either.
fn rsa_pair(der: &[u8]) -> Result<RsaKeyPair, Error> {
    let pair = RsaKeyPair::from_der(der).or_else(|_| RsaKeyPair::from_pkcs8(der));
    pair.map_err(|why| ErrorKind::InvalidRsaKey(why.to_string()).into())
}

fn rsa_padding(algorithm: Algorithm) -> Result<&'static dyn RsaEncoding, Error> {
    match algorithm {
        Algorithm::PS256 => Ok(&RSA_PSS_SHA256),
        Algorithm::PS384 => Ok(&RSA_PSS_SHA384),
        Algorithm::PS512 => Ok(&RSA_PSS_SHA512),
        Algorithm::RS256 => Ok(&RSA_PKCS1_SHA256),
        Algorithm::RS384 => Ok(&RSA_PKCS1_SHA384),
        Algorithm::RS512 => Ok(&RSA_PKCS1_SHA512),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn rsa_public_of_private(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let pair = rsa_pair(der)?;
    let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
    Ok((public.n, public.e))
}

fn rsa_public(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    match Material::of(&DecodingKey::from_rsa_der(der)) {
        Ok(Material::Rsa { n, e }) => Ok((n.into(), e.into())),
        _ => Err(ErrorKind::InvalidKeyFormat.into()),
    }
}

fn ec_public_of_private(
    pkcs8: &[u8],
    algorithm: Algorithm,
) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>), Error> {
    let pair = ec_pair(pkcs8, algorithm)?;
    let curve = if algorithm == Algorithm::ES256 { EllipticCurve::P256 } else { EllipticCurve::P384 };
    let point = pair.public_key().as_ref();
    // A tag byte, then two coordinates of one length.
    let (x, y) = point.split_at(1).1.split_at(point.len() / 2);
    Ok((curve, x.to_vec(), y.to_vec()))
}

fn ed_public_of_private(pkcs8: &[u8], _curve: &EllipticCurve) -> Result<Vec<u8>, Error> {
    Ok(ed_pair(pkcs8)?.public_key().as_ref().to_vec())
}

#[expect(clippy::needless_pass_by_value, reason = "the library says so")]
fn digest_of(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>, Error> {
    let how = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(digest::digest(how, data).as_ref().to_vec())
}
