//! The keys an issuer signs with: a [`KeySet`], read from a JWKS document, from PEM text or from a shared secret.
//!
//! Each key knows, from what it is and what its publisher says, which algorithms it may verify; a token's header is
//! never asked. A set is read once, whole, and does not change; `jwks.rs` decides which set is believed when.

use std::fmt;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use ring::digest;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, AlgorithmSet, algorithm};
use super::material::Material;

/// Issuers publish two to six keys; a large identity provider was seen with about twenty.
const KEYS_MAX: usize = 64;

/// 64 RSA-8192 keys with their certificates fit.
const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Key ids are thumbprints, dates, UUIDs.
pub(super) const KEY_ID_BYTES_MAX: usize = 256;

/// A digest of a key's material and of what it may verify: the same in two sets if and only if the key is the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct KeyPrint([u8; 32]);

/// One key.
pub(super) struct Key {
    pub(super) id: Option<Box<str>>,
    pub(super) print: KeyPrint,
    algorithms: AlgorithmSet,
    material: Material,
}

/// Why one key cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyFault {
    /// A curve other than P-256, P-384 and Ed25519, or a point that does not belong to its curve by its length.
    #[error("its curve is not P-256, P-384 or Ed25519")]
    Curve,
    /// `use` or `key_ops` say it is for something else, such as encryption.
    #[error("it is not published for checking signatures")]
    ForOtherUse,
    /// A key id of more than 256 bytes.
    #[error("its key id is too long")]
    IdTooLong,
    /// A key type we do not know.
    #[error("its type is not one of EC, OKP and RSA")]
    Kind,
    /// Its `alg` is unknown to us or does not go with what the key is.
    #[error("its alg is not one that goes with such a key")]
    OtherAlgorithm,
    /// PEM text that is not a public key: a certificate, a private key.
    #[error("it is not the PEM of a public key (`PUBLIC KEY` or `RSA PUBLIC KEY`)")]
    PemLabel,
    /// The private half is there: whoever can read the document can sign.
    #[error("it holds a private key, which everybody can read now")]
    Private,
    /// A shared secret in a published set: whoever can read the document can sign.
    #[error("it is a shared secret in a published set, which everybody can read now")]
    PublishedSecret,
    /// 1, even, or longer than 33 bits.
    #[error("its RSA exponent is not usable")]
    RsaExponent,
    /// Outside of 2048 to 8192 bits.
    #[error("its RSA modulus has {bits} bits, and 2048 to 8192 are safe and affordable")]
    RsaSize {
        /// How long it is.
        bits: usize,
    },
    /// The "secret" is the PEM text of a key.
    #[error("the shared secret is PEM text: a key that others know is no secret")]
    SecretIsPem,
    /// Less than 32 bytes.
    #[error("the shared secret is shorter than 32 bytes")]
    SecretShort,
    /// A field is missing or is not what it should be.
    #[error("it cannot be read")]
    Unreadable,
}

/// A key that was left out of a set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// Which one, counted from 0 in the order of the document.
    pub place: usize,
    /// Its key id, if it has one.
    pub id: Option<String>,
    /// Why.
    pub fault: KeyFault,
}

/// Why there is no set of keys.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeysError {
    /// Not `{"keys": [...]}`.
    #[error("this is not a JSON Web Key Set")]
    NotASet,
    /// Every key was left out.
    #[error("no key in the set can be used{}", reasons(.skipped))]
    NoUsableKey {
        /// Each of them.
        skipped: Vec<Skipped>,
    },
    /// The PEM text or the shared secret is not usable.
    #[error("the key cannot be used: {0}")]
    Single(KeyFault),
    /// More than 256 KiB.
    #[error("the key set is larger than 256 KiB")]
    TooLarge,
    /// More than 64 keys.
    #[error("the key set holds more than 64 keys")]
    TooMany,
}

fn reasons(skipped: &[Skipped]) -> String {
    skipped.iter().map(|skipped| format!("; {skipped}")).collect()
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "key {} ({id:?}): {}", self.place, self.fault),
            None => write!(f, "key {}: {}", self.place, self.fault),
        }
    }
}

/// One or more usable keys. Never empty.
pub struct KeySet {
    keys: Box<[Key]>,
    skipped: Box<[Skipped]>,
}

impl KeySet {
    /// Reads a JWKS document (RFC 7517 section 5). Keys that cannot be used are left out and reported by
    /// [`KeySet::skipped`]; a set in which none can be used is an error, as are more than 256 KiB or 64 keys.
    ///
    /// Shared secrets in such a document are never used: what is published is not secret.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeysError> {
        if json.len() > JWKS_BYTES_MAX {
            return Err(KeysError::TooLarge);
        }
        let set: Value = serde_json::from_slice(json).map_err(|_| KeysError::NotASet)?;
        let published = set.get("keys").and_then(Value::as_array).ok_or(KeysError::NotASet)?;
        if published.len() > KEYS_MAX {
            return Err(KeysError::TooMany);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (place, jwk) in published.iter().enumerate() {
            match from_jwk(jwk) {
                Ok(key) => keys.push(key),
                Err(fault) => skipped.push(Skipped { place, id: text(jwk, "kid").map(String::from), fault }),
            }
        }
        if keys.is_empty() {
            return Err(KeysError::NoUsableKey { skipped });
        }
        Ok(Self { keys: keys.into(), skipped: skipped.into() })
    }

    /// Reads PEM text with one or more public keys: RSA, P-256, P-384 or Ed25519. They have no ids, so a token may
    /// name any. One that cannot be used spoils the whole text, because here the operator wrote it.
    pub fn from_pem(text: &str) -> Result<Self, KeysError> {
        let keys = pem_blocks(text)
            .map(from_pem_block)
            .collect::<Result<Box<[_]>, _>>()
            .map_err(KeysError::Single)?;
        match keys.len() {
            0 => Err(KeysError::Single(KeyFault::PemLabel)),
            1..=KEYS_MAX => Ok(Self { keys, skipped: Box::default() }),
            _ => Err(KeysError::TooMany),
        }
    }

    /// Takes a secret shared with the issuer, for HS256 (32 bytes and more), HS384 (48) and HS512 (64).
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeysError> {
        let key = Key::new(None, &DecodingKey::from_secret(secret), AlgorithmSet::all());
        let key = key.map_err(KeysError::Single)?;
        Ok(Self { keys: Box::new([key]), skipped: Box::default() })
    }

    /// How many keys can be used.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys of the document that were left out, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    pub(super) fn holds(&self, print: KeyPrint) -> bool {
        self.keys.iter().any(|key| key.print == print)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Are they the same keys, whatever the order?
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|key| other.holds(key.print))
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|key| (&key.id, key.algorithms))).finish()
    }
}

impl Key {
    fn new(id: Option<&str>, key: &DecodingKey, allowed: AlgorithmSet) -> Result<Self, KeyFault> {
        let material = Material::of(key)?;
        let algorithms = material.algorithms().and(allowed);
        if algorithms.is_empty() {
            return Err(KeyFault::OtherAlgorithm);
        }
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&algorithms.bits().to_be_bytes());
        material.digest_into(&mut context);
        let print = KeyPrint(context.finish().as_ref().try_into().map_err(|_| KeyFault::Unreadable)?);
        Ok(Self { id: id.map(Box::from), print, algorithms, material })
    }

    pub(super) fn may_verify(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(algorithm)
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.may_verify(algorithm) && self.material.verifies(algorithm, message, signature)
    }
}

fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

fn from_jwk(jwk: &Value) -> Result<Key, KeyFault> {
    let members = jwk.as_object().ok_or(KeyFault::Unreadable)?;
    check_kind(members)?;
    check_curve(members)?;
    check_use(members)?;
    let allowed = match members.get("alg") {
        None => AlgorithmSet::all(),
        Some(Value::String(name)) => algorithm(name).into_iter().collect(),
        Some(_) => return Err(KeyFault::Unreadable),
    };
    let id = text(jwk, "kid");
    if id.is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
        return Err(KeyFault::IdTooLong);
    }
    let parameters = parameters(members)?;
    let key = DecodingKey::from_jwk(&parameters).map_err(|_| KeyFault::Unreadable)?;
    let key = Key::new(id, &key, allowed)?;
    if on_its_curve(&parameters.algorithm, &key.material) { Ok(key) } else { Err(KeyFault::Curve) }
}

fn check_kind(members: &Map<String, Value>) -> Result<(), KeyFault> {
    match members.get("kty").and_then(Value::as_str) {
        Some("oct") => Err(KeyFault::PublishedSecret),
        // RFC 7518 sections 6.2.2 and 6.3.2: "d" is the private half, for all three kinds.
        Some("EC" | "OKP" | "RSA") if members.contains_key("d") => Err(KeyFault::Private),
        Some("EC" | "OKP" | "RSA") => Ok(()),
        _ => Err(KeyFault::Kind),
    }
}

fn check_curve(members: &Map<String, Value>) -> Result<(), KeyFault> {
    let known = |curve: &Value| ["P-256", "P-384", "Ed25519"].iter().any(|name| curve == name);
    if members.get("crv").is_none_or(known) { Ok(()) } else { Err(KeyFault::Curve) }
}

/// RFC 7517 sections 4.2 and 4.3: either, both or neither may say what the key is for.
fn check_use(members: &Map<String, Value>) -> Result<(), KeyFault> {
    let signatures = members.get("use").is_none_or(|purpose| purpose == "sig");
    let verify =
        |operations: &Value| operations.as_array().is_some_and(|list| list.iter().any(|op| op == "verify"));
    let verifies = members.get("key_ops").is_none_or(verify);
    if signatures && verifies { Ok(()) } else { Err(KeyFault::ForOtherUse) }
}

/// Only what makes the key goes to the library: it would refuse a good key for an odd neighbour such as a certificate
/// chain that it does not use either.
fn parameters(members: &Map<String, Value>) -> Result<Jwk, KeyFault> {
    let names = ["kty", "crv", "x", "y", "n", "e"].into_iter();
    let needed = names.filter_map(|name| members.get(name).map(|value| (name.to_owned(), value.clone())));
    serde_json::from_value(Value::Object(needed.collect())).map_err(|_| KeyFault::Unreadable)
}

fn on_its_curve(parameters: &AlgorithmParameters, material: &Material) -> bool {
    let curve = match parameters {
        AlgorithmParameters::EllipticCurve(ec) => &ec.curve,
        AlgorithmParameters::OctetKeyPair(okp) => &okp.curve,
        _ => return matches!(material, Material::Rsa { .. }),
    };
    matches!(
        (curve, material),
        (EllipticCurve::P256, Material::Ecdsa256(_))
            | (EllipticCurve::P384, Material::Ecdsa384(_))
            | (EllipticCurve::Ed25519, Material::Ed25519(_))
    )
}

const PEM_BEGIN: &str = "-----BEGIN ";

/// Each block with the text that follows it; what stands before the first one is a remark.
fn pem_blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(PEM_BEGIN).skip(1).map(|block| block.strip_suffix(PEM_BEGIN).unwrap_or(block))
}

fn from_pem_block(block: &str) -> Result<Key, KeyFault> {
    if !block.starts_with("PUBLIC KEY-----") && !block.starts_with("RSA PUBLIC KEY-----") {
        return Err(KeyFault::PemLabel);
    }
    let pem = format!("{PEM_BEGIN}{block}");
    let key = DecodingKey::from_rsa_pem(pem.as_bytes())
        .or_else(|_| DecodingKey::from_ec_pem(pem.as_bytes()))
        .or_else(|_| DecodingKey::from_ed_pem(pem.as_bytes()))
        .map_err(|_| KeyFault::Unreadable)?;
    Key::new(None, &key, AlgorithmSet::all())
}
