//! The authentication of one source: which schemes are accepted, and which one decides if a request
//! has several.

use std::sync::Arc;

use crate::content::view::View;
use crate::scheme::jwt::{Jwt, JwtKeys};
use crate::scheme::key_store::VerifyError;
use crate::scheme::place::Place;
use crate::scheme::signature::{self, BoundSignature, Terms, more_specific};
use crate::scheme::token::{Basic, SharedToken};

use super::super::code::BoundScheme;
use super::super::confirm::ConfirmApi;
use crate::content::request::Cause;
use crate::content::request::Secret;

/// The verdict if a proof is absent.
const ABSENT: VerifyError = VerifyError::Rejected(Cause::MissingHeader);

/// The setting of HTTP basic authentication that is a secret.
const PASSWORD: &str = "password";

/// The schemes that authenticate the sender, with the source's keys.
#[derive(Debug, Default)]
pub struct BoundProofs {
    pub tokens: Vec<BoundToken>,
    pub basic: Option<Basic>,
    pub signatures: Vec<BoundSignature>,
    pub jwts: Vec<(&'static Jwt, JwtKeys)>,
    pub code: Option<BoundScheme>,
    /// The client for the provider's API, for confirming messages.
    pub confirm_api: Option<Arc<ConfirmApi>>,
    /// The settings whose values are keys of the signatures, JWTs and code above.
    pub signing_settings: Vec<&'static str>,
}

#[derive(Debug)]
pub struct BoundToken {
    pub token: SharedToken,
    /// The setting that holds the token.
    pub key: &'static str,
    /// The token's values, for samples.
    pub values: Vec<Secret>,
}

impl BoundProofs {
    pub fn are_none(&self) -> bool {
        self.tokens.is_empty()
            && self.basic.is_none()
            && self.signatures.is_empty()
            && self.jwts.is_empty()
            && self.code.is_none()
            && self.confirm_api.is_none()
    }

    /// Whether the source has a key for a signature, a JWT or a scheme in code.
    fn are_signed(&self) -> bool {
        self.signatures.iter().any(|keyed| !keyed.keys.are_absent())
            || !self.jwts.is_empty()
            || self.code.is_some()
    }

    /// Whether every request needs a signature.
    pub fn must_be_signed(&self) -> bool {
        let of_basic = self.basic.iter().any(|_| self.may_be_unsigned(PASSWORD));
        self.are_signed() && !of_basic && !self.tokens.iter().any(|bound| self.may_be_unsigned(bound.key))
    }

    /// Whether the source accepts only tokens and passwords.
    pub fn are_only_sent(&self) -> bool {
        !self.are_signed() && (self.basic.is_some() || !self.tokens.is_empty())
    }

    /// Whether a token or password is enough for an unsigned request. It is not if the source has a
    /// key for signatures: anyone who has seen the token could omit the signature. A token that is
    /// the signing key itself is still enough, since its holder could also sign.
    fn may_be_unsigned(&self, key: &str) -> bool {
        !self.are_signed() || self.signing_settings.contains(&key)
    }

    /// Authenticates a request.
    ///
    /// # Errors
    /// The most specific reason why the request is not authenticated, or the key that must be
    /// fetched.
    pub fn check(&self, view: &View<'_>, terms: &Terms<'_>) -> Result<(), VerifyError> {
        let Err(mut rejection) = signature::authenticate(&self.signatures, view, terms) else {
            return Ok(());
        };
        // A signature that is present decides.
        if signature::is_sent(&self.signatures, view) {
            return Err(rejection);
        }
        let of_code = self.code.as_ref().map(|code| code.check(view, terms));
        if let Some(verdict) = of_code.filter(|verdict| *verdict != Err(ABSENT)) {
            return verdict;
        }
        let (verdict, wrong_at) = self.check_jwts(view, terms);
        let Err(of_jwts) = verdict else { return Ok(()) };
        rejection = more_specific(rejection, of_jwts);
        self.check_unsigned(view, wrong_at).map_err(|error| more_specific(rejection, error))
    }

    /// Checks JWTs; as for signatures, the first place with a value decides. Returns that place if
    /// its JWT is wrong.
    fn check_jwts(&self, view: &View<'_>, terms: &Terms<'_>) -> (Result<(), VerifyError>, Option<&Place>) {
        let mut rejection = ABSENT;
        let mut wrong_at: Option<&Place> = None;
        for (jwt, keys) in &self.jwts {
            if wrong_at.is_some_and(|place| *place != jwt.at) {
                continue;
            }
            match jwt.check(keys, view, terms) {
                Ok(()) => return (Ok(()), None),
                Err(_) if jwt.at.find(view) == Ok(None) => {}
                Err(error) => {
                    wrong_at = Some(&jwt.at);
                    rejection = more_specific(rejection, error);
                }
            }
        }
        (Err(rejection), wrong_at)
    }

    /// Checks tokens and passwords. After a wrong JWT, only those in the same place are accepted:
    /// the value in that place is possibly not a JWT, but a token or password.
    fn check_unsigned(&self, view: &View<'_>, wrong_at: Option<&Place>) -> Result<(), VerifyError> {
        let may_count = |key: &str, is_at: &dyn Fn(&Place) -> bool| {
            self.may_be_unsigned(key) && wrong_at.is_none_or(is_at)
        };
        let is_authorization =
            |place: &Place| matches!(place, Place::Header(name) if name == "authorization");
        let mut rejection = Cause::MissingHeader.into();
        if let Some(basic) = self.basic.as_ref().filter(|_| may_count(PASSWORD, &is_authorization)) {
            match basic.check(view) {
                Ok(()) => return Ok(()),
                Err(cause) => rejection = more_specific(rejection, cause.into()),
            }
        }
        for bound in
            self.tokens.iter().filter(|bound| may_count(bound.key, &|place| place == bound.token.at()))
        {
            match bound.token.check(view) {
                Ok(()) => return Ok(()),
                Err(cause) => rejection = more_specific(rejection, cause.into()),
            }
        }
        Err(rejection)
    }
}
