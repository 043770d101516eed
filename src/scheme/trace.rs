//! The signed text and the signatures of a received request, to explain a rejection. A computed
//! signature leaves this module only as a [`SignaturePrefix`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::encoding::Encoding;
use super::key::{Algorithm, Derivation, SecretKey};
use super::place::Place;
use super::signature::{BoundSignature, SignatureKeys, Terms};
use super::template::TemplateScope;
use crate::content::request::{Cause, Secret};
use crate::content::view::View;

/// Limit on the characters of a signature that are shown: 32 bits in hex and 48 in base64, of at
/// least 128.
pub const MAX_SIGNATURE_CHARACTERS: usize = 8;
/// Stands for the secret in a text that contains it.
const MASK: &[u8] = b"[secret]";
/// Minimum length of a signature, in bytes: that of HMAC-MD5.
pub const MIN_SIGNATURE_BYTES: usize = 16;
/// Limit on the words of a value that are read as signatures.
const MAX_WORDS: usize = 16;

/// The algorithms that other senders use with a shared secret.
const HMACS: [Algorithm; 5] = [
    Algorithm::HmacSha256,
    Algorithm::HmacSha1,
    Algorithm::HmacSha512,
    Algorithm::HmacSha384,
    Algorithm::HmacMd5,
];

/// The first characters of an encoded signature. The rest is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignaturePrefix(String);

impl SignaturePrefix {
    pub fn of(encoded: &str) -> Self {
        Self(encoded.chars().take(MAX_SIGNATURE_CHARACTERS).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The signed text of a request, and the signatures.
#[derive(Debug)]
pub struct SignatureTrace {
    /// `None` if a part of the text is missing. The secret is masked.
    pub text: Option<Vec<u8>>,
    /// The signature as sent. It may be any text, such as a secret.
    pub received: Vec<u8>,
    /// The encoding of the scheme's signatures.
    pub encoding: Encoding,
    /// The signature with the first secret; `None` if only the provider can sign.
    pub computed: Option<SignaturePrefix>,
    /// Whether the signature matches with one of the secrets. The timestamp is not compared with
    /// the clock.
    pub is_match: bool,
}

impl SignatureTrace {
    /// Computes an HMAC over a text; `received` is the signature as sent.
    pub fn of_hmac(
        algorithm: hmac::Algorithm,
        secrets: &[Secret],
        text: Vec<u8>,
        encoding: Encoding,
        received: &[u8],
    ) -> Self {
        let tags =
            secrets.iter().map(|secret| hmac::sign(&hmac::Key::new(algorithm, secret.expose()), &text));
        let tags: Vec<hmac::Tag> = tags.collect();
        let decoded = encoding.decode_any(received).unwrap_or_default();
        Self {
            computed: tags.first().map(|tag| SignaturePrefix::of(&encoding.encode(tag.as_ref()))),
            is_match: tags.iter().any(|tag| tag.as_ref().ct_eq(&decoded).into()),
            received: received.to_vec(),
            encoding,
            text: Some(text),
        }
    }

    /// Whether the received text is a signature in the scheme's encoding.
    pub fn is_readable(&self) -> bool {
        let bytes = self.encoding.decode_any(&self.received);
        bytes.is_some_and(|bytes| bytes.len() >= MIN_SIGNATURE_BYTES)
    }
}

impl BoundSignature {
    /// Returns the signed text and the signatures of a request; `None` without a value at the place
    /// of the signature. Of several signatures, a matching one is traced. `timestamp` replaces the
    /// one in the request.
    pub fn trace(
        &self,
        view: &View<'_>,
        terms: &Terms<'_>,
        timestamp: Option<&[u8]>,
    ) -> Option<SignatureTrace> {
        let mut found: Option<SignatureTrace> = None;
        let trace = |value: &[u8]| {
            for group in self.scheme.layout.groups(value) {
                if found.as_ref().is_some_and(|trace| trace.is_match) {
                    break;
                }
                let trace = self.trace_group(view, terms, group, timestamp);
                if trace.is_match || found.as_ref().is_none_or(|found| found.text.is_none()) {
                    found = Some(trace);
                }
            }
            // Continues with the next value.
            Err(Cause::MissingHeader.into())
        };
        // The verdict is the error above.
        let _ = self.try_values(view, trace);
        found
    }

    fn trace_group(
        &self,
        view: &View<'_>,
        terms: &Terms<'_>,
        group: &[u8],
        timestamp: Option<&[u8]>,
    ) -> SignatureTrace {
        let scheme = self.scheme;
        let candidates = scheme.layout.candidates(group);
        let candidates = candidates.as_ref().map_or(&[][..], |candidates| candidates.as_slice());
        let sent = self.timestamp_in(view, group);
        let scope = TemplateScope {
            timestamp: timestamp.or(sent.as_deref()),
            layout: Some((&scheme.layout, group)),
            secret: Some(MASK),
            ..TemplateScope::new(view, terms.texts)
        };
        let mut computed = None;
        let mut is_match = false;
        if let SignatureKeys::Secrets(secrets) = &self.keys {
            let tags = secrets.iter().filter_map(|secret| secret.sign(&scheme.template, &scope).ok());
            for tag in tags {
                let encoded = || SignaturePrefix::of(&scheme.encoding.encode(tag.as_ref()));
                computed = computed.or_else(|| Some(encoded()));
                let decoded = candidates.iter().filter_map(|text| scheme.encoding.decode_any(text));
                is_match |= decoded.into_iter().any(|bytes| tag.as_ref().ct_eq(&bytes).into());
            }
        }
        let received = candidates.first().copied().unwrap_or(group).to_vec();
        let text = scheme.template.render(&scope).ok();
        SignatureTrace { text, received, encoding: scheme.encoding, computed, is_match }
    }

    /// Returns the timestamp of a request as sent; `None` if absent, or if none is signed.
    pub fn timestamp(&self, view: &View<'_>) -> Option<Vec<u8>> {
        let mut found = None;
        let _ = self.try_values(view, |value| {
            let group = self.scheme.layout.groups(value).next().unwrap_or(value);
            found = found.take().or_else(|| self.timestamp_in(view, group).map(Cow::into_owned));
            Err(Cause::MissingHeader.into())
        });
        found
    }

    fn timestamp_in<'a>(&'a self, view: &'a View<'a>, group: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let rule = self.scheme.timestamp.as_ref()?;
        rule.at.find(view, &self.scheme.layout, group).ok()
    }

    /// Number of texts that a check of this request hashes for each key.
    pub fn count_groups(&self, view: &View<'_>) -> usize {
        let mut count = 0;
        let _ = self.try_values(view, |value| {
            count += self.scheme.layout.groups(value).count();
            Err(Cause::MissingHeader.into())
        });
        count
    }

    /// Finds the algorithm and encoding of a signature over the scheme's text that does not have
    /// the scheme's form. `keys` are the derived keys.
    pub fn other_form(
        &self,
        view: &View<'_>,
        terms: &Terms<'_>,
        keys: &[Vec<u8>],
    ) -> Option<(Algorithm, Encoding)> {
        let scheme = self.scheme;
        let value = match &scheme.at {
            Place::Header(name) => view.request.headers.0.iter().find(|(field, _)| field == name)?.1.into(),
            place => place.find(view).ok()??,
        };
        let value = value.trim_ascii();
        let timestamp = self.timestamp_in(view, value);
        let scope = TemplateScope {
            timestamp: timestamp.as_deref(),
            layout: Some((&scheme.layout, value)),
            ..TemplateScope::new(view, terms.texts)
        };
        let signatures = readable(value);
        let plain = Derivation::default();
        HMACS.into_iter().find_map(|algorithm| {
            keys.iter().find_map(|key| {
                let key = SecretKey::new(algorithm, &plain, key).ok()?;
                let tag = key.sign(&scheme.template, &scope).ok()?;
                let is_equal = |bytes: &[u8]| bool::from(tag.as_ref().ct_eq(bytes));
                let found = signatures.iter().find(|(_, bytes)| is_equal(bytes))?;
                Some((algorithm, found.0))
            })
        })
    }
}

/// Returns each word of a value, and the part of it after `=`, in every encoding that it has.
fn readable(value: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
    let words = value.split(|byte| b",; ".contains(byte)).filter(|word| !word.is_empty()).take(MAX_WORDS);
    let texts = words.flat_map(|word| {
        let label = word.iter().position(|byte| *byte == b'=').map(|end| &word[end + 1..]);
        [Some(word), label].into_iter().flatten()
    });
    texts
        .flat_map(|text| {
            let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
            let unpadded = &text[..end];
            [
                (Encoding::Hex, Encoding::Hex.decode_any(text)),
                (Encoding::Base64, STANDARD_NO_PAD.decode(unpadded).ok()),
                (Encoding::Base64Url, URL_SAFE_NO_PAD.decode(unpadded).ok()),
            ]
        })
        .filter_map(|(encoding, bytes)| Some((encoding, bytes.filter(|bytes| !bytes.is_empty())?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_prefix_has_eight_characters() {
        assert_eq!(SignaturePrefix::of("0123456789abcdef").as_str(), "01234567");
        assert_eq!(SignaturePrefix::of("ab").as_str(), "ab");
    }

    #[test]
    fn words_are_read_in_each_encoding() {
        let of = |value: &str, encoding| {
            let all = readable(value.as_bytes());
            all.into_iter()
                .filter(|(found, _)| *found == encoding)
                .map(|(_, bytes)| bytes)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("sha256=0aff", Encoding::Hex), [vec![0x0a, 0xff]]);
        assert!(of("t=1,v1=AP8=", Encoding::Base64).contains(&vec![0, 0xff]));
        assert!(of("_-8", Encoding::Base64Url).contains(&vec![0xff, 0xef]));
        assert!(readable(b"").is_empty() && readable(b"===").is_empty());
    }
}
