//! Signature algorithms, and the secrets prepared for them.

use hmac::{Hmac, KeyInit, Mac};
use icu_normalizer::DecomposingNormalizerBorrowed;
use md5::{Digest, Md5};
use ring::{digest, hmac as ring_hmac};
use serde::Deserialize;

use super::encoding::{KeyEncoding, MAX_SIGNATURE_BYTES};
use super::error::KeyError;
use super::public_key::PublicAlgorithm;
use super::template::{Template, TemplateScope};
use crate::content::request::{Cause, Secret};

/// Algorithm that computes the signature of the signed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    HmacMd5,
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    /// A plain digest; the secret is part of the text.
    Md5,
    Sha1,
    Sha256,
    Ed25519,
    EcdsaP256Sha1,
    EcdsaP256Sha256,
    RsaSha1,
    RsaSha256,
}

/// The algorithms without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    Md5,
    Sha1,
    Sha256,
}

impl Algorithm {
    /// The length of its signatures in bytes; `None` for public-key signatures whose length varies.
    pub const fn signature_bytes(self) -> Option<usize> {
        match self {
            Self::HmacMd5 | Self::Md5 => Some(16),
            Self::HmacSha1 | Self::Sha1 => Some(20),
            Self::HmacSha256 | Self::Sha256 => Some(32),
            Self::HmacSha384 => Some(48),
            Self::HmacSha512 | Self::Ed25519 => Some(64),
            Self::EcdsaP256Sha1 | Self::EcdsaP256Sha256 | Self::RsaSha1 | Self::RsaSha256 => None,
        }
    }

    /// The algorithm of a public key; `None` for shared secrets.
    pub const fn public(self) -> Option<PublicAlgorithm> {
        match self {
            Self::Ed25519 => Some(PublicAlgorithm::Ed25519),
            Self::EcdsaP256Sha1 => Some(PublicAlgorithm::EcdsaP256Sha1),
            Self::EcdsaP256Sha256 => Some(PublicAlgorithm::EcdsaP256Sha256),
            Self::RsaSha1 => Some(PublicAlgorithm::RsaSha1),
            Self::RsaSha256 => Some(PublicAlgorithm::RsaSha256),
            _ => None,
        }
    }

    /// The digest, if the secret is part of the signed text instead of being the key.
    pub const fn digest(self) -> Option<DigestAlgorithm> {
        match self {
            Self::Md5 => Some(DigestAlgorithm::Md5),
            Self::Sha1 => Some(DigestAlgorithm::Sha1),
            Self::Sha256 => Some(DigestAlgorithm::Sha256),
            _ => None,
        }
    }

    /// Whether the secret is part of the signed text instead of being the key.
    pub const fn is_plain_digest(self) -> bool {
        self.digest().is_some()
    }

    pub const fn ring(self) -> Option<ring_hmac::Algorithm> {
        match self {
            Self::HmacSha1 => Some(ring_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::HmacSha256 => Some(ring_hmac::HMAC_SHA256),
            Self::HmacSha384 => Some(ring_hmac::HMAC_SHA384),
            Self::HmacSha512 => Some(ring_hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// The usual name of the algorithm.
    const fn name(self) -> &'static str {
        match self {
            Self::HmacMd5 => "HMAC-MD5",
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::HmacSha384 => "HMAC-SHA384",
            Self::HmacSha512 => "HMAC-SHA512",
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256Sha1 => "ECDSA P-256 with SHA-1",
            Self::EcdsaP256Sha256 => "ECDSA P-256 with SHA-256",
            Self::RsaSha1 => "RSA (PKCS#1 v1.5) with SHA-1",
            Self::RsaSha256 => "RSA (PKCS#1 v1.5) with SHA-256",
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Steps that turn a configured text into a key, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Derivation {
    /// Prefixes of the text; the first one that matches is removed.
    pub prefix: Vec<String>,
    /// Uses only the part after the first occurrence of this text, or the whole value if this text
    /// does not occur in it.
    pub after: Option<String>,
    pub encoding: KeyEncoding,
    pub normalize: Option<Normalization>,
    pub hash: Option<KeyHash>,
    /// Text appended to the key.
    pub suffix: Option<String>,
    /// The key is the timestamp followed by the secret. Only for HMAC with SHA-1 or SHA-2.
    pub prepend_timestamp: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalization {
    Nfkd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyHash {
    Sha1,
}

impl Derivation {
    /// Derives a key from a configured text.
    ///
    /// # Errors
    /// The problem with the value, without showing it.
    pub fn derive(&self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut key = self.encoding.decode(self.encoded_key(text))?;
        if self.normalize == Some(Normalization::Nfkd) {
            let text = std::str::from_utf8(&key).map_err(|_| KeyError("is not UTF-8 text"))?;
            key = DecomposingNormalizerBorrowed::new_nfkd().normalize(text).into_owned().into_bytes();
        }
        if key.is_empty() {
            return Err(KeyError("is empty; anyone can sign with an empty key"));
        }
        if self.hash == Some(KeyHash::Sha1) {
            key = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &key).as_ref().to_vec();
        }
        key.extend_from_slice(self.suffix.as_deref().unwrap_or_default().as_bytes());
        Ok(key)
    }

    /// Returns the part of a configured text that `encoding` decodes.
    pub fn encoded_key<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let text = self.prefix.iter().find_map(|prefix| text.strip_prefix(prefix.as_bytes())).unwrap_or(text);
        self.after.as_ref().and_then(|mark| after(text, mark.as_bytes())).unwrap_or(text)
    }
}

fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let start = text.windows(mark.len().max(1)).position(|window| window == mark)?;
    Some(&text[start + mark.len()..])
}

/// A shared secret, ready for checking signatures.
#[derive(Clone, Debug)]
pub enum SecretKey {
    Hmac(ring_hmac::Key),
    /// The HMAC key is built for each timestamp.
    Stamped(ring_hmac::Algorithm, Secret),
    HmacMd5(Secret),
    /// The secret is part of the text.
    Digest(DigestAlgorithm, Secret),
}

/// A signature's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    bytes: [u8; MAX_SIGNATURE_BYTES],
    length: usize,
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Tag {
    pub fn new(tag: &[u8]) -> Self {
        let length = tag.len().min(MAX_SIGNATURE_BYTES);
        let mut bytes = [0; MAX_SIGNATURE_BYTES];
        bytes[..length].copy_from_slice(&tag[..length]);
        Self { bytes, length }
    }
}

impl SecretKey {
    /// Derives a key and prepares it for the algorithm.
    ///
    /// # Errors
    /// The problem with the value, without showing it.
    pub fn new(algorithm: Algorithm, derivation: &Derivation, text: &[u8]) -> Result<Self, KeyError> {
        let key = derivation.derive(text)?;
        match algorithm.ring() {
            Some(ring) if derivation.prepend_timestamp => Ok(Self::Stamped(ring, Secret::new(key))),
            Some(ring) => Ok(Self::Hmac(ring_hmac::Key::new(ring, &key))),
            None if algorithm == Algorithm::HmacMd5 => Ok(Self::HmacMd5(Secret::new(key))),
            None => {
                let algorithm =
                    algorithm.digest().ok_or(KeyError("is for a public key, not for a shared secret"))?;
                Ok(Self::Digest(algorithm, Secret::new(key)))
            }
        }
    }

    /// Returns the signature over the text.
    ///
    /// # Errors
    /// See `Template::feed`; also `MissingHeader` if the timestamp for the key is absent.
    pub fn sign(&self, template: &Template, scope: &TemplateScope<'_>) -> Result<Tag, Cause> {
        match self {
            // The most common scheme, without a walk through the template.
            Self::Hmac(key) if template.is_body_alone() => {
                Ok(Tag::new(ring_hmac::sign(key, scope.view.request.body).as_ref()))
            }
            Self::Hmac(key) => sign(key, template, scope),
            Self::Stamped(algorithm, secret) => {
                let timestamp = scope.timestamp.ok_or(Cause::MissingHeader)?;
                let key = ring_hmac::Key::new(*algorithm, &[timestamp, secret.expose()].concat());
                sign(&key, template, scope)
            }
            Self::HmacMd5(secret) => {
                // HMAC accepts keys of any length, so this never fails.
                let mut mac =
                    Hmac::<Md5>::new_from_slice(secret.expose()).map_err(|_| Cause::SignatureMismatch)?;
                template.feed(scope, |piece| mac.update(piece))?;
                Ok(Tag::new(&mac.finalize().into_bytes()))
            }
            Self::Digest(algorithm, secret) => {
                let scope = TemplateScope { secret: Some(secret.expose()), ..*scope };
                plain_digest(*algorithm, template, &scope)
            }
        }
    }
}

fn sign(key: &ring_hmac::Key, template: &Template, scope: &TemplateScope<'_>) -> Result<Tag, Cause> {
    let mut context = ring_hmac::Context::with_key(key);
    template.feed(scope, |piece| context.update(piece))?;
    Ok(Tag::new(context.sign().as_ref()))
}

/// Returns a digest of the text.
///
/// # Errors
/// See `Template::feed`.
pub fn plain_digest(
    algorithm: DigestAlgorithm,
    template: &Template,
    scope: &TemplateScope<'_>,
) -> Result<Tag, Cause> {
    let kind = match algorithm {
        DigestAlgorithm::Md5 => {
            let mut md5 = Md5::new();
            template.feed(scope, |piece| md5.update(piece))?;
            return Ok(Tag::new(&md5.finalize()));
        }
        DigestAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        DigestAlgorithm::Sha256 => &digest::SHA256,
    };
    let mut context = digest::Context::new(kind);
    template.feed(scope, |piece| context.update(piece))?;
    Ok(Tag::new(context.finish().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(derivation: Derivation, text: &str) -> Result<String, KeyError> {
        derivation.derive(text.as_bytes()).map(|key| String::from_utf8_lossy(&key).into_owned())
    }

    #[test]
    fn key_is_derived_step_by_step() {
        let plain = Derivation::default;
        let prefixed = Derivation {
            prefix: vec!["v1,whsec_".into(), "whsec_".into()],
            encoding: KeyEncoding::Base64,
            ..plain()
        };
        assert_eq!(derived(prefixed.clone(), "v1,whsec_YWI="), Ok("ab".into()));
        assert_eq!(derived(prefixed.clone(), "whsec_YWI="), Ok("ab".into()));
        assert_eq!(derived(prefixed, "YWI="), Ok("ab".into()));
        assert_eq!(derived(plain(), "whsec_YWI="), Ok("whsec_YWI=".into()));
        assert_eq!(
            derived(Derivation { after: Some(":".into()), ..plain() }, "app.key:sec:ret"),
            Ok("sec:ret".into())
        );
        assert_eq!(derived(Derivation { suffix: Some("&".into()), ..plain() }, "a"), Ok("a&".into()));
        assert_eq!(
            derived(Derivation { normalize: Some(Normalization::Nfkd), ..plain() }, "é"),
            Ok("e\u{301}".into())
        );
        assert!(derived(plain(), "").is_err());
        assert!(derived(Derivation { suffix: Some("&".into()), ..plain() }, "").is_err());
        let hashed = Derivation { hash: Some(KeyHash::Sha1), ..plain() }.derive(b"abc").unwrap();
        assert_eq!(crate::scheme::encoding::hex(&hashed), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
