//! The algorithms, and keys prepared for them once.

use ring::{hmac, signature};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::request::{Cause, Request};
use super::template::Template;

/// How the signed text becomes a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
    #[serde(rename = "ed25519")]
    Ed25519,
}

impl Algorithm {
    pub const fn signature_bytes(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 | Self::Ed25519 => 64,
        }
    }
}

/// A key ready for checking signatures.
#[derive(Clone, Debug)]
pub enum VerifyingKey {
    Hmac(hmac::Key),
    /// The public key.
    Ed25519(signature::UnparsedPublicKey<[u8; 32]>),
}

impl VerifyingKey {
    /// # Errors
    /// What is wrong with the key, without showing it.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, &'static str> {
        if key.is_empty() {
            return Err("is empty; anybody can sign with an empty key");
        }
        let hash = match algorithm {
            Algorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::HmacSha256 => hmac::HMAC_SHA256,
            Algorithm::HmacSha384 => hmac::HMAC_SHA384,
            Algorithm::HmacSha512 => hmac::HMAC_SHA512,
            Algorithm::Ed25519 => {
                let key = key.try_into().map_err(|_| "is not an Ed25519 public key: that has 32 bytes")?;
                return Ok(Self::Ed25519(signature::UnparsedPublicKey::new(&signature::ED25519, key)));
            }
        };
        Ok(Self::Hmac(hmac::Key::new(hash, key)))
    }

    /// Whether any of the decoded signatures is this key's over the signed text; the time does not depend on their content.
    ///
    /// # Errors
    /// A part of the signed text is absent.
    pub fn matches(
        &self,
        template: &Template,
        request: &Request<'_>,
        timestamp: Option<&[u8]>,
        mut signatures: impl Iterator<Item = impl AsRef<[u8]>>,
    ) -> Result<bool, Cause> {
        match self {
            Self::Hmac(key) => {
                let tag = sign(key, template, request, timestamp)?;
                Ok(signatures.any(|signature| tag.as_ref().ct_eq(signature.as_ref()).into()))
            }
            Self::Ed25519(key) => {
                let mut text = Vec::with_capacity(request.body.len() + 128);
                template.feed(request, timestamp, |piece| text.extend_from_slice(piece))?;
                Ok(signatures.any(|signature| key.verify(&text, signature.as_ref()).is_ok()))
            }
        }
    }

    /// The signature that a sender with this key makes; `None` for a public key, which cannot sign.
    ///
    /// # Errors
    /// A part of the signed text is absent.
    pub fn sign(
        &self,
        template: &Template,
        request: &Request<'_>,
        timestamp: Option<&[u8]>,
    ) -> Result<Option<hmac::Tag>, Cause> {
        match self {
            Self::Hmac(key) => sign(key, template, request, timestamp).map(Some),
            Self::Ed25519(_) => Ok(None),
        }
    }
}

fn sign(
    key: &hmac::Key,
    template: &Template,
    request: &Request<'_>,
    timestamp: Option<&[u8]>,
) -> Result<hmac::Tag, Cause> {
    // The commonest scheme, and ring's one-shot form skips the buffer that a context keeps.
    if template.is_body_alone() {
        return Ok(hmac::sign(key, request.body));
    }
    let mut context = hmac::Context::with_key(key);
    template.feed(request, timestamp, |piece| context.update(piece))?;
    Ok(context.sign())
}
