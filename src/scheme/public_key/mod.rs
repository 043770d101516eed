//! A provider's public keys: parses every published form and verifies signatures. Unsupported keys
//! and signatures are rejected.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::digest;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::encoding::Encoding;
use super::error::KeyError;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Length of an RSA modulus in bytes: 1,024 to 8,192 bits. With SHA-2, ring requires at least 2,048
/// bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 128..=1_024;
const RSA_SHA2_BYTES: usize = 256;

const NOT_A_KEY: KeyError = KeyError(
    "is not a public key: neither PEM, nor base64 of 32 bytes or of a key in DER, \
    nor 64 hex digits; copy the complete key from the provider again",
);
const CUT: KeyError =
    KeyError("is not a complete PEM block; copy it from the provider again, from BEGIN to END");
const PRIVATE: KeyError = KeyError("is a private key; copy the public key from the provider");
const BROKEN: KeyError = KeyError("is not a valid public key; copy the complete key from the provider again");
const OTHER_KIND: KeyError = KeyError(
    "is a key of an unsupported type; copy a key for Ed25519, RSA, P-256, P-384 or P-521 from the provider",
);
const RSA_SIZE: KeyError =
    KeyError("is an RSA key of fewer than 1,024 or more than 8,192 bits; ask the provider for another one");
const BROKEN_JWK: KeyError =
    KeyError("is not a valid JSON Web Key; copy the complete key from the provider again");

/// Signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicAlgorithm {
    Ed25519,
    /// Signatures in DER, as in the next variant.
    EcdsaP256Sha256,
    EcdsaP256Sha1,
    /// PKCS#1 v1.5, like the other RSA variants.
    RsaSha1,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    /// P-256 with SHA-256, and signatures of fixed width, as in JSON Web Signatures.
    Es256,
    /// P-384 with SHA-384.
    Es384,
    /// P-521 with SHA-512.
    Es512,
}

impl PublicAlgorithm {
    const fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::RsaSha1 => Some(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
            Self::RsaSha256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RsaSha384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RsaSha512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    fn by_oid(oid: ObjectIdentifier) -> Option<Self> {
        const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
        const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
        const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
        match oid {
            P256 => Some(Self::P256),
            P384 => Some(Self::P384),
            P521 => Some(Self::P521),
            _ => None,
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    const fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The uncompressed form of a point.
    fn point(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()?;
                Some(key.to_sec1_point(false).as_bytes().to_vec())
            }
            Self::P521 => {
                let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()?;
                Some(key.to_sec1_point(false).as_bytes().to_vec())
            }
            // ring checks during verification that the point is on the curve.
            Self::P384 => (bytes.len() == 97 && bytes.starts_with(&[4])).then(|| bytes.to_vec()),
        }
    }
}

#[derive(Clone, Debug)]
enum PublicKeyKind {
    Ed25519([u8; 32]),
    /// An uncompressed point.
    Elliptic(Curve, Vec<u8>),
    /// Modulus and exponent have no leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// A key that checks signatures.
#[derive(Clone, Debug)]
pub struct PublicKey(PublicKeyKind);

impl PublicKey {
    /// Parses a key as providers publish it: PEM (even without its line breaks), base64 or hex.
    ///
    /// # Errors
    /// The problem and its remedy, without the value.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let text = text.strip_prefix("whpk_").unwrap_or(text);
        if let Some((label, der)) = pem_blocks(text).next() {
            return Self::from_pem(label, der);
        }
        let text = without_line_breaks(text);
        // 64 hex digits are valid base64 too, but their 48 bytes are not a key.
        if let Some(bytes) = Encoding::Hex.decode(text.as_bytes(), 32) {
            return bytes.first_chunk().copied().map(Self::ed25519).ok_or(NOT_A_KEY);
        }
        let bytes = STANDARD_PAD_INDIFFERENT.decode(&text).map_err(|_| NOT_A_KEY)?;
        match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(Self::ed25519(bytes)),
            // Every key in DER is a sequence.
            Err(_) if bytes.starts_with(&[0x30]) => Self::from_spki(&bytes),
            Err(_) => Err(NOT_A_KEY),
        }
    }

    fn from_pem(label: &str, der: Option<Vec<u8>>) -> Result<Self, KeyError> {
        if label.ends_with("PRIVATE KEY") {
            return Err(PRIVATE);
        }
        let der = der.ok_or(CUT)?;
        match label {
            "PUBLIC KEY" => Self::from_spki(&der),
            "RSA PUBLIC KEY" => Self::from_pkcs1(&der),
            _ if is_certificate(label) => {
                Self::of_certificate(&Certificate::from_der(&der).map_err(|_| BROKEN)?)
            }
            _ => Err(KeyError(
                "is PEM, but neither a public key nor a certificate; copy the public key from the provider",
            )),
        }
    }

    /// Parses a key in DER, with its algorithm (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// The problem and its remedy, without the value.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| BROKEN)?;
        let key = info.subject_public_key.as_bytes().ok_or(BROKEN)?;
        match info.algorithm.oid {
            ED25519 => key.try_into().map(Self::ed25519).map_err(|_| BROKEN),
            RSA if info.algorithm.parameters.is_none_or(|parameters| parameters.is_null()) => {
                Self::from_pkcs1(key)
            }
            ELLIPTIC => {
                let curve = info.algorithm.parameters_oid().ok().and_then(Curve::by_oid).ok_or(OTHER_KIND)?;
                Self::elliptic(curve, key)
            }
            _ => Err(OTHER_KIND),
        }
    }

    /// Returns the public key in a certificate.
    pub(super) fn of_certificate(certificate: &Certificate) -> Result<Self, KeyError> {
        let info = certificate.tbs_certificate().subject_public_key_info().to_der();
        Self::from_spki(&info.map_err(|_| BROKEN)?)
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        match Vec::<UintRef<'_>>::from_der(der).as_deref() {
            Ok([modulus, exponent]) => Self::rsa(modulus.as_bytes(), exponent.as_bytes()),
            _ => Err(BROKEN),
        }
    }

    /// Parses a JSON Web Key.
    ///
    /// # Errors
    /// The problem and its remedy, without the value.
    pub fn from_jwk(key: &Value) -> Result<Self, KeyError> {
        let text = |name: &str| key.get(name).and_then(Value::as_str).ok_or(BROKEN_JWK);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).map_err(|_| BROKEN_JWK);
        match text("kty")? {
            "RSA" => Self::rsa(&bytes("n")?, &bytes("e")?),
            "EC" => {
                let curve = Curve::by_name(text("crv")?).ok_or(OTHER_KIND)?;
                let mut point = vec![4];
                for coordinate in [bytes("x")?, bytes("y")?] {
                    // Leading zeros belong to a coordinate, but some libraries leave them out.
                    let missing = curve.coordinate_bytes().checked_sub(coordinate.len()).ok_or(BROKEN_JWK)?;
                    point.resize(point.len() + missing, 0);
                    point.extend_from_slice(&coordinate);
                }
                Self::elliptic(curve, &point)
            }
            "OKP" if text("crv")? == "Ed25519" => {
                bytes("x")?.try_into().map(Self::ed25519).map_err(|_| BROKEN_JWK)
            }
            _ => Err(OTHER_KIND),
        }
    }

    const fn ed25519(bytes: [u8; 32]) -> Self {
        Self(PublicKeyKind::Ed25519(bytes))
    }

    fn elliptic(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        curve.point(point).map(|point| Self(PublicKeyKind::Elliptic(curve, point))).ok_or(BROKEN)
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        // Some libraries write a leading zero, which ring rejects.
        let trim = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
        let (modulus, exponent) = (trim(modulus), trim(exponent));
        if exponent.is_empty() {
            return Err(BROKEN);
        }
        if !RSA_BYTES.contains(&modulus.len()) {
            return Err(RSA_SIZE);
        }
        Ok(Self(PublicKeyKind::Rsa { modulus, exponent }))
    }

    /// Whether signatures of this algorithm can be verified with the key.
    pub fn fits(&self, algorithm: PublicAlgorithm) -> bool {
        use PublicAlgorithm::{
            EcdsaP256Sha1, EcdsaP256Sha256, Ed25519, Es256, Es384, Es512, RsaSha1, RsaSha256, RsaSha384,
            RsaSha512,
        };
        match (&self.0, algorithm) {
            (PublicKeyKind::Ed25519(_), Ed25519)
            | (PublicKeyKind::Elliptic(Curve::P256, _), EcdsaP256Sha1 | EcdsaP256Sha256 | Es256)
            | (PublicKeyKind::Elliptic(Curve::P384, _), Es384)
            | (PublicKeyKind::Elliptic(Curve::P521, _), Es512)
            | (PublicKeyKind::Rsa { .. }, RsaSha1) => true,
            (PublicKeyKind::Rsa { modulus, .. }, RsaSha256 | RsaSha384 | RsaSha512) => {
                modulus.len() >= RSA_SHA2_BYTES
            }
            _ => false,
        }
    }

    /// Whether the signature is correct; false if the key is of another kind.
    pub fn verify(&self, algorithm: PublicAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let by_ring = |ring: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(ring, key).verify(message, signature).is_ok()
        };
        match (&self.0, algorithm) {
            (PublicKeyKind::Ed25519(key), _) => by_ring(&signature::ED25519, key),
            (PublicKeyKind::Elliptic(Curve::P256, point), PublicAlgorithm::EcdsaP256Sha1) => {
                p256_sha1(point, message, signature).is_some()
            }
            (PublicKeyKind::Elliptic(Curve::P256, point), PublicAlgorithm::Es256) => {
                by_ring(&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            (PublicKeyKind::Elliptic(Curve::P256, point), _) => {
                by_ring(&signature::ECDSA_P256_SHA256_ASN1, point)
            }
            (PublicKeyKind::Elliptic(Curve::P384, point), _) => {
                by_ring(&signature::ECDSA_P384_SHA384_FIXED, point)
            }
            (PublicKeyKind::Elliptic(Curve::P521, point), _) => {
                p521_sha512(point, message, signature).is_some()
            }
            (PublicKeyKind::Rsa { modulus, exponent }, _) => algorithm.rsa().is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }),
        }
    }
}

/// ring has no ECDSA with SHA-1.
fn p256_sha1(point: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
    let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, message);
    key.verify_prehash(hash.as_ref(), &signature).ok()
}

/// ring has no P-521.
fn p521_sha512(point: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
    let signature = p521::ecdsa::Signature::from_slice(signature).ok()?;
    let hash = digest::digest(&digest::SHA512, message);
    key.verify_prehash(hash.as_ref(), &signature).ok()
}

pub(super) fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE")
}

/// Returns the blocks of a PEM text, each with its label; a damaged block has no bytes. Line breaks
/// may be lost or written as `\n`, as happens in environment variables and JSON.
pub(super) fn pem_blocks(text: &str) -> impl Iterator<Item = (&str, Option<Vec<u8>>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (label, after) = rest.split_once("-----BEGIN ")?.1.split_once("-----")?;
        let Some((body, after)) = after.split_once(&format!("-----END {label}-----")) else {
            rest = "";
            return Some((label, None));
        };
        rest = after;
        Some((label, STANDARD_PAD_INDIFFERENT.decode(without_line_breaks(body)).ok()))
    })
}

fn without_line_breaks(text: &str) -> String {
    text.replace("\\r", "").replace("\\n", "").split_whitespace().collect()
}

#[cfg(test)]
mod tests;
