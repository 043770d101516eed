//! A request as the provider rules see it, the causes of rejection, and values that must not be
//! shown.

use serde::Deserialize;
use time::OffsetDateTime;

/// A value that must never be shown: `Debug` prints `[redacted]`, there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    pub fn new_text(value: impl AsRef<str>) -> Self {
        Self(value.as_ref().as_bytes().to_vec())
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The header fields of a request in the order received; names are in lower case.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(pub &'a [(&'a str, &'a [u8])]);

impl<'a> Headers<'a> {
    /// Returns the value of a field that may appear only once, without surrounding white space;
    /// `None` if absent or empty.
    ///
    /// # Errors
    /// The field is repeated. A repeated field that decides authenticity is ambiguous: a proxy may
    /// have checked the other value.
    pub fn single(&self, name: &str) -> Result<Option<&'a [u8]>, Cause> {
        let mut values = self.0.iter().filter(|(field, _)| *field == name);
        let Some((_, value)) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Cause::MalformedSignature);
        }
        let value = value.trim_ascii();
        Ok((!value.is_empty()).then_some(value))
    }
}

/// One request as a provider's rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Path and query exactly as received.
    pub target: &'a str,
    /// The raw query without `?`; may be empty.
    pub query: &'a str,
    /// The whole URL as registered with the provider, which some schemes sign. Empty if no scheme
    /// of the source signs it.
    pub url: &'a str,
    pub headers: Headers<'a>,
    /// The exact bytes; empty while they have not been read.
    pub body: &'a [u8],
    pub now: OffsetDateTime,
}

/// The cause of a rejection. `name()` is its name in logs, metrics and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A required header, query field or value in the body is absent or empty, or the request uses
    /// only a scheme that this source does not allow.
    MissingHeader,
    /// A signature or timestamp is not in the format of the scheme, or appears twice.
    MalformedSignature,
    /// The signature names an algorithm or version that the provider's recipe does not support, or
    /// that this source does not allow.
    UnknownAlgorithm,
    /// Correctly signed, but the timestamp differs from the clock by more than the tolerance, or
    /// the token has expired or is not valid yet.
    StaleTimestamp,
    /// A well-formed signature of another body or timestamp, or by another secret.
    SignatureMismatch,
    /// The token is not one of the configured tokens.
    TokenMismatch,
    /// A genuine token or signature, but for another body, URL, issuer or recipient.
    ClaimMismatch,
    /// Correctly signed by the provider, but for an account other than the configured one.
    WrongAccount,
    /// The provider has no key with the id in the request, or the source has no key of that kind.
    UnknownKey,
    /// The certificate that the request names is at a URL that is not allowed, does not exist, is
    /// not valid now, or has no trusted issuer.
    CertificateNotTrusted,
    /// A handshake that must not be answered: e.g. with a wrong verify token, with a challenge of
    /// an unexpected shape, or with a secret while the source learns none.
    HandshakeRefused,
    /// The request cannot be confirmed with the API, because its id does not have the expected
    /// shape, or another value for the API call is unusable.
    NotConfirmed,
    /// A body that must be parsed or rewritten before verification, and is larger or has more
    /// fields than any sender's. It may be genuine.
    TooLarge,
    /// The client address is outside the source's allowlist.
    AddressNotAllowed,
}

impl Cause {
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::MalformedSignature => "malformed_signature",
            Self::UnknownAlgorithm => "unknown_algorithm",
            Self::StaleTimestamp => "stale_timestamp",
            Self::SignatureMismatch => "signature_mismatch",
            Self::TokenMismatch => "token_mismatch",
            Self::ClaimMismatch => "claim_mismatch",
            Self::WrongAccount => "wrong_account",
            Self::UnknownKey => "unknown_key",
            Self::CertificateNotTrusted => "certificate_not_trusted",
            Self::HandshakeRefused => "handshake_refused",
            Self::NotConfirmed => "not_confirmed",
            Self::TooLarge => "too_large",
            Self::AddressNotAllowed => "address_not_allowed",
        }
    }
}
