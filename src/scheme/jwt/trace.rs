//! The parts of a token, to explain a rejection. Nothing here is authenticated.

use super::super::encoding::Encoding;
use super::super::key_store::MAX_ID_BYTES;
use super::super::signature::Terms;
use super::super::template::TemplateScope;
use super::super::trace::SignatureTrace;
use super::{Claim, Jwt, JwtAlgorithm, JwtHeader, JwtKeys, MAX_TOKEN_BYTES, decode, read_claims, seconds};
use crate::content::view::View;

/// The claims with a time, other than the one that the recipe names.
const TIMES: [&str; 2] = ["exp", "nbf"];

/// A token as received.
#[derive(Debug)]
pub struct JwtTrace {
    pub signature: SignatureTrace,
    pub algorithm: String,
    /// The id of the key in the token's header.
    pub key_id: Option<String>,
    /// The names of claims that are absent or do not have the required value.
    pub wrong_claims: Vec<String>,
    /// Claims with a time, in seconds since 1970.
    pub times: Vec<(String, i64)>,
}

impl Jwt {
    /// Reads the token of a request; `None` without a readable one.
    pub fn trace(&self, keys: &JwtKeys, view: &View<'_>, terms: &Terms<'_>) -> Option<JwtTrace> {
        let value = self.at.require(view).ok()?;
        let token = self.scheme.strip(&value).unwrap_or(&value);
        let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= MAX_TOKEN_BYTES)?;
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: JwtHeader = serde_json::from_slice(&decode(header).ok()?).ok()?;
        let hmac = JwtAlgorithm::named(&header.alg)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .and_then(JwtAlgorithm::hmac);
        let text = signed.as_bytes().to_vec();
        let signature = match (keys, hmac) {
            (JwtKeys::Secrets(secrets), Some(hmac)) => {
                SignatureTrace::of_hmac(hmac, secrets, text, Encoding::Base64Url, signature.as_bytes())
            }
            _ => SignatureTrace {
                text: Some(text),
                received: signature.as_bytes().to_vec(),
                encoding: Encoding::Base64Url,
                computed: None,
                is_match: false,
            },
        };
        let claims = read_claims(&decode(claims).ok()?).unwrap_or_default();
        let scope = TemplateScope::new(view, terms.texts);
        let is_wrong = |claim: &&Claim| claim.holds(&claims, &scope) != Ok(true);
        let wrong = self.claims.iter().filter(is_wrong).map(|claim| claim.name.as_str());
        let absent = self.required_times().filter(|name| seconds(&claims, name) == Ok(None));
        let timed = TIMES.into_iter().chain(self.issued.as_deref());
        let times = timed.filter_map(|name| Some((name.to_owned(), seconds(&claims, name).ok()??)));
        Some(JwtTrace {
            signature,
            algorithm: header.alg,
            key_id: header.kid.filter(|id| id.len() <= MAX_ID_BYTES),
            wrong_claims: wrong.chain(absent).map(str::to_owned).collect(),
            times: times.collect(),
        })
    }
}
