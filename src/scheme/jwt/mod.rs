//! JSON Web Tokens (RFC 7519) that authenticate a request by their claims about it. The recipe,
//! never the token, determines the allowed algorithms: a public key must not serve as the secret of
//! an HMAC.

mod trace;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::auth_scheme::AuthScheme;
use super::freshness::SignedTime;
use super::key_store::{KeyStore, VerifyError};
use super::place::Place;
use super::public_key::{PublicAlgorithm, PublicKey};
use super::signature::Terms;
use super::template::{Template, TemplateScope};
use crate::content::request::{Cause, Secret};
use crate::content::view::View;
use crate::json::{Object, document, text_of};
pub use trace::JwtTrace;

/// Maximum length of a token. No sender's token is longer.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// The rules for a token, from the provider's documentation.
#[derive(Clone, Debug)]
pub struct Jwt {
    pub at: Place,
    pub scheme: AuthScheme,
    pub scheme_optional: bool,
    pub algorithms: Vec<JwtAlgorithm>,
    pub claims: Vec<Claim>,
    pub expires: Expires,
    /// The claim with the time of issue, which must be within the source's tolerance.
    pub issued: Option<String>,
    pub leeway: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// Whether `exp` is required, is checked only if present, or is ignored. `nbf` is always checked if
/// present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expires {
    Required,
    #[default]
    IfPresent,
    Never,
}

/// The required value of one claim.
#[derive(Clone, Debug)]
pub struct Claim {
    pub name: String,
    pub must: ClaimCheck,
    /// If true, the claim is required only for a non-empty body, and must be absent for an empty
    /// one.
    pub unless_empty_body: bool,
}

#[derive(Clone, Debug)]
pub enum ClaimCheck {
    Equal(Template),
    OneOf(Vec<String>),
    True,
}

/// The keys that verify tokens.
#[derive(Clone, Debug)]
pub enum JwtKeys {
    Secrets(Vec<Secret>),
    Public(Vec<PublicKey>),
    /// The keys that the provider has published; selected by `kid` if the token names one.
    Published,
}

#[derive(Deserialize)]
struct JwtHeader {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, 4.1.11). None is supported.
    crit: Option<serde::de::IgnoredAny>,
}

impl JwtAlgorithm {
    const ALL: [(&'static str, Self); 10] = [
        ("HS256", Self::HS256),
        ("HS384", Self::HS384),
        ("HS512", Self::HS512),
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("ES512", Self::ES512),
        ("EdDSA", Self::EdDSA),
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    const fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HS256 => Some(hmac::HMAC_SHA256),
            Self::HS384 => Some(hmac::HMAC_SHA384),
            Self::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    pub const fn public(self) -> Option<PublicAlgorithm> {
        match self {
            Self::RS256 => Some(PublicAlgorithm::RsaSha256),
            Self::RS384 => Some(PublicAlgorithm::RsaSha384),
            Self::RS512 => Some(PublicAlgorithm::RsaSha512),
            Self::ES256 => Some(PublicAlgorithm::Es256),
            Self::ES384 => Some(PublicAlgorithm::Es384),
            Self::ES512 => Some(PublicAlgorithm::Es512),
            Self::EdDSA => Some(PublicAlgorithm::Ed25519),
            Self::HS256 | Self::HS384 | Self::HS512 => None,
        }
    }
}

impl Jwt {
    /// Verifies the token of a request.
    ///
    /// # Errors
    /// The cause of rejection, or the key that must be fetched.
    pub fn check(&self, keys: &JwtKeys, view: &View<'_>, terms: &Terms<'_>) -> Result<(), VerifyError> {
        let value = self.at.require(view)?;
        let token = match self.scheme.strip(&value) {
            Some(token) => token,
            None if self.scheme_optional => &value,
            None => return Err(Cause::MalformedSignature.into()),
        };
        let claims = self.genuine_claims(token, keys, terms.key_store)?;
        self.check_claims(&claims, view, terms)?;
        self.check_times(&claims, view, terms.tolerance)?;
        Ok(())
    }

    /// Whether the request carries a readable token that is valid now, with any signature.
    pub fn is_carried(&self, view: &View<'_>, terms: &Terms<'_>) -> bool {
        let Some(claims) = self.unverified_claims(view) else { return false };
        let has = |claim: &Claim| claims.get(&claim.name).is_some_and(|value| !value.is_null());
        self.claims.iter().all(|claim| claim.unless_empty_body || has(claim))
            && self.check_times(&claims, view, terms.tolerance).is_ok()
    }

    /// Returns the claims of a token without verifying its signature.
    fn unverified_claims(&self, view: &View<'_>) -> Option<Map<String, Value>> {
        let value = self.at.require(view).ok()?;
        let token = match self.scheme.strip(&value) {
            None if !self.scheme_optional => return None,
            stripped => stripped.unwrap_or(&value),
        };
        let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= MAX_TOKEN_BYTES)?;
        let mut parts = token.split('.');
        let (header, claims) = (parts.next()?, parts.next()?);
        let signature = parts.next().filter(|text| !text.is_empty() && parts.next().is_none())?;
        decode(signature).ok()?;
        let header: JwtHeader = serde_json::from_slice(&decode(header).ok()?).ok()?;
        JwtAlgorithm::named(&header.alg).filter(|named| self.algorithms.contains(named))?;
        header.crit.is_none().then_some(())?;
        read_claims(&decode(claims).ok()?)
    }

    /// Returns the claims of a token after verifying its signature.
    fn genuine_claims(
        &self,
        token: &[u8],
        keys: &JwtKeys,
        key_store: &dyn KeyStore,
    ) -> Result<Map<String, Value>, VerifyError> {
        let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= MAX_TOKEN_BYTES);
        let (signed, signature) =
            token.and_then(|token| token.rsplit_once('.')).ok_or(Cause::MalformedSignature)?;
        let (header, claims) = signed.split_once('.').ok_or(Cause::MalformedSignature)?;
        let header: JwtHeader =
            serde_json::from_slice(&decode(header)?).map_err(|_| Cause::MalformedSignature)?;
        let algorithm = JwtAlgorithm::named(&header.alg).filter(|named| self.algorithms.contains(named));
        let algorithm = algorithm.filter(|_| header.crit.is_none()).ok_or(Cause::UnknownAlgorithm)?;
        let signature = decode(signature)?;
        if !is_signed(algorithm, keys, header.kid.as_deref(), signed.as_bytes(), &signature, key_store)? {
            return Err(match keys {
                JwtKeys::Published => key_store.mismatch(header.kid.as_deref()),
                JwtKeys::Secrets(_) | JwtKeys::Public(_) => Cause::SignatureMismatch.into(),
            });
        }
        Ok(read_claims(&decode(claims)?).ok_or(Cause::MalformedSignature)?)
    }

    fn check_claims(
        &self,
        claims: &Map<String, Value>,
        view: &View<'_>,
        terms: &Terms<'_>,
    ) -> Result<(), Cause> {
        let scope = TemplateScope::new(view, terms.texts);
        for claim in &self.claims {
            if !claim.holds(claims, &scope)? {
                return Err(Cause::ClaimMismatch);
            }
        }
        Ok(())
    }

    /// Returns the claims with a time that a token must have.
    fn required_times(&self) -> impl Iterator<Item = &str> {
        let end = (self.expires == Expires::Required).then_some("exp");
        end.into_iter().chain(self.issued.as_deref())
    }

    /// Checks `exp` and `nbf` as RFC 7519 defines them, and the age of the token.
    fn check_times(
        &self,
        claims: &Map<String, Value>,
        view: &View<'_>,
        tolerance: Duration,
    ) -> Result<(), Cause> {
        let now = view.request.now.unix_timestamp();
        let leeway = i64::try_from(self.leeway.as_secs()).unwrap_or(i64::MAX);
        if self.expires != Expires::Never {
            match seconds(claims, "exp")? {
                Some(end) if end <= now.saturating_sub(leeway) => return Err(Cause::StaleTimestamp),
                None if self.expires == Expires::Required => return Err(Cause::ClaimMismatch),
                Some(_) | None => {}
            }
        }
        if seconds(claims, "nbf")?.is_some_and(|start| start > now.saturating_add(leeway)) {
            return Err(Cause::StaleTimestamp);
        }
        match &self.issued {
            Some(name) => {
                let issued = seconds(claims, name)?.ok_or(Cause::ClaimMismatch)?;
                SignedTime::Seconds(issued).check(view.request.now, tolerance)
            }
            None => Ok(()),
        }
    }
}

impl Claim {
    fn holds(&self, claims: &Map<String, Value>, scope: &TemplateScope<'_>) -> Result<bool, Cause> {
        let value = claims.get(&self.name).filter(|value| !value.is_null());
        if self.unless_empty_body && scope.view.request.body.is_empty() {
            return Ok(value.is_none());
        }
        value.map_or(Ok(false), |value| self.must.hold(value, scope))
    }
}

impl ClaimCheck {
    fn hold(&self, value: &Value, scope: &TemplateScope<'_>) -> Result<bool, Cause> {
        Ok(match self {
            Self::True => value == &Value::Bool(true) || value == "true",
            Self::OneOf(texts) => texts.iter().any(|text| value == text.as_str()),
            Self::Equal(template) => {
                let wanted = template.render(scope)?;
                match value {
                    Value::Array(values) => values.iter().any(|value| is_text(value, &wanted)),
                    value => is_text(value, &wanted),
                }
            }
        })
    }
}

/// Compares a claim with a text. Padding of a base64 digest is ignored, because some senders omit
/// it.
fn is_text(value: &Value, wanted: &[u8]) -> bool {
    let unpadded = |text: &[u8]| text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let found = value.as_str().unwrap_or_default().as_bytes();
    !found.is_empty() && found[..unpadded(found)] == wanted[..unpadded(wanted)]
}

fn is_signed(
    algorithm: JwtAlgorithm,
    keys: &JwtKeys,
    kid: Option<&str>,
    signed: &[u8],
    signature: &[u8],
    key_store: &dyn KeyStore,
) -> Result<bool, VerifyError> {
    let by_public = |keys: &[PublicKey]| {
        algorithm.public().is_some_and(|public| keys.iter().any(|key| key.verify(public, signed, signature)))
    };
    Ok(match keys {
        JwtKeys::Secrets(secrets) => algorithm.hmac().is_some_and(|hash| {
            secrets
                .iter()
                .any(|secret| hmac::verify(&hmac::Key::new(hash, secret.expose()), signed, signature).is_ok())
        }),
        JwtKeys::Public(keys) => by_public(keys),
        JwtKeys::Published => by_public(&key_store.keys(kid)?),
    })
}

/// Parses claims. A value that `Value` cannot represent (lone surrogate, number out of range) is
/// present, but equals nothing.
fn read_claims(bytes: &[u8]) -> Option<Map<String, Value>> {
    let object = Object::read(document(bytes).ok()?)?;
    let claim = |(name, value): (&str, &str)| {
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::Object(Map::new()));
        Some((text_of(name)?.into_owned(), value))
    };
    Some(object.members().filter_map(claim).collect())
}

fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Cause> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            #[expect(clippy::cast_possible_truncation, reason = "a float is truncated to an i64 on purpose")]
            let whole = number.as_i64().or_else(|| number.as_f64().map(|float| float as i64));
            whole.map(Some).ok_or(Cause::MalformedSignature)
        }
        Some(_) => Err(Cause::MalformedSignature),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Cause> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Cause::MalformedSignature)
}

/// Builds a token with these claims, as a sender does; `None` for public-key algorithms.
pub fn compose(algorithm: JwtAlgorithm, secret: &Secret, claims: &Value) -> Option<String> {
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, algorithm.name());
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(algorithm.hmac()?, secret.expose()), signed.as_bytes());
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_claim_does_not_hide_other_claims() {
        let claims = read_claims(br#"{"iss":"a","name":"\ud83d","far":1e400,"iss":"b"}"#).unwrap();
        assert_eq!(claims["iss"], "b");
        assert!(["name", "far"].iter().all(|odd| claims[*odd].is_object()));
        assert!(read_claims(b"[]").is_none() && read_claims(b"{").is_none());
    }
}
