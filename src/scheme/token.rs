//! A shared token, in a header, the query or the body; and HTTP basic authentication.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

use super::auth_scheme::AuthScheme;
use super::place::Place;
use crate::content::request::{Cause, Secret};
use crate::content::view::View;
use crate::json::PathValue;

/// The tokens of one source, and their place in requests.
#[derive(Clone, Debug)]
pub struct SharedToken {
    at: Place,
    scheme: AuthScheme,
    /// SHA-256 of each token: comparing digests reveals neither content nor length.
    digests: Vec<Secret>,
}

impl SharedToken {
    pub fn new(at: Place, scheme: AuthScheme, tokens: &[Secret]) -> Self {
        let digests =
            tokens.iter().map(|token| Secret::new(digest(&SHA256, token.expose()).as_ref())).collect();
        Self { at, scheme, digests }
    }

    pub const fn at(&self) -> &Place {
        &self.at
    }

    pub const fn scheme(&self) -> &AuthScheme {
        &self.scheme
    }

    /// Describes the place of the token and the text before it.
    pub fn in_words(&self) -> String {
        let written = self.scheme.written();
        match (self.scheme.is_none(), self.scheme.is_name()) {
            (true, _) => format!("a token, the whole of {}", self.at),
            (_, true) => format!(
                "a token in {} after `{}` (any case, followed by spaces)",
                self.at,
                written.trim_end()
            ),
            (_, false) => format!("a token in {} after `{written}`", self.at),
        }
    }

    /// Compares the request's token with the configured ones.
    ///
    /// # Errors
    /// `MissingHeader`, `TokenMismatch`, or `TooLarge` if the token is in a body that is too large.
    pub fn check(&self, view: &View<'_>) -> Result<(), Cause> {
        if let Place::Json(path) = &self.at {
            let every = path.every(view.json().map_err(mismatch)?).ok_or(Cause::MissingHeader)?;
            return every.iter().try_for_each(|found| match found {
                PathValue::Text(text) | PathValue::Number(text) => self.check_value(text.as_bytes()),
                PathValue::Absent | PathValue::Other => Err(Cause::TokenMismatch),
            });
        }
        // A token is not a signature, but a duplicate one is just as ambiguous.
        let presented = self.at.find(view).map_err(mismatch)?;
        let presented = presented.ok_or(Cause::MissingHeader)?;
        self.check_value(&presented)
    }

    /// Whether the request carries a token at the place and with the prefix of the scheme.
    pub fn is_carried(&self, view: &View<'_>) -> bool {
        let has_token =
            |value: &[u8]| self.scheme.strip(value).is_some_and(|token| !token.trim_ascii().is_empty());
        let is_token = |found: &PathValue| match found {
            PathValue::Text(text) | PathValue::Number(text) => has_token(text.as_bytes()),
            PathValue::Absent | PathValue::Other => false,
        };
        if let Place::Json(path) = &self.at {
            let every = view.json().ok().and_then(|document| path.every(document));
            return every.is_some_and(|every| !every.is_empty() && every.iter().all(is_token));
        }
        self.at.find(view).ok().flatten().is_some_and(|value| has_token(&value))
    }

    fn check_value(&self, presented: &[u8]) -> Result<(), Cause> {
        let presented = digest(&SHA256, self.scheme.strip(presented).ok_or(Cause::TokenMismatch)?);
        let matching = self
            .digests
            .iter()
            .map(|configured| configured.expose().ct_eq(presented.as_ref()))
            .fold(Choice::from(0), |any, equal| any | equal);
        if matching.into() { Ok(()) } else { Err(Cause::TokenMismatch) }
    }
}

/// The cause for a token that cannot be read. `TooLarge` is kept, because a body that is too large
/// may contain the correct token.
const fn mismatch(cause: Cause) -> Cause {
    if matches!(cause, Cause::TooLarge) { cause } else { Cause::TokenMismatch }
}

/// HTTP basic authentication (RFC 7617), user and password in UTF-8.
#[derive(Clone, Debug)]
pub struct Basic {
    /// SHA-256 of `user:password`.
    digest: Secret,
}

impl Basic {
    pub fn new(username: &[u8], password: &[u8]) -> Self {
        let pair = [username, b":", password].concat();
        Self { digest: Secret::new(digest(&SHA256, &pair).as_ref()) }
    }

    /// Compares the request's credentials with the configured ones.
    ///
    /// # Errors
    /// `MissingHeader`, `MalformedSignature` or `TokenMismatch`.
    pub fn check(&self, view: &View<'_>) -> Result<(), Cause> {
        let pair = Self::presented(view)?;
        let equal = self.digest.expose().ct_eq(digest(&SHA256, &pair).as_ref());
        if equal.into() { Ok(()) } else { Err(Cause::TokenMismatch) }
    }

    /// Whether the request carries a user name and a password.
    pub fn is_carried(view: &View<'_>) -> bool {
        Self::presented(view).is_ok_and(|pair| pair.contains(&b':'))
    }

    fn presented(view: &View<'_>) -> Result<Vec<u8>, Cause> {
        let value = view.request.headers.single("authorization").map_err(|_| Cause::TokenMismatch)?;
        let value = value.ok_or(Cause::MissingHeader)?;
        let is_basic = value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "));
        let encoded = value.get(6..).filter(|_| is_basic).ok_or(Cause::TokenMismatch)?;
        STANDARD.decode(encoded.trim_ascii()).map_err(|_| Cause::MalformedSignature)
    }
}

/// Returns the value of `Authorization` for a user and a password.
pub fn basic_authorization(username: &[u8], password: &[u8]) -> String {
    format!("Basic {}", basic_credentials(username, password))
}

/// Returns the text after `Basic` in the header.
pub fn basic_credentials(username: &[u8], password: &[u8]) -> String {
    STANDARD.encode([username, b":", password].concat())
}
