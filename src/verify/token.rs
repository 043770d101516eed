//! A shared token in a header.

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::request::{Cause, Request, Secret};

/// The tokens of one source and the header that carries them.
#[derive(Clone, Debug)]
pub struct Token {
    /// In lower case.
    header: String,
    /// SHA-256 of each token: comparing digests gives away neither content nor length.
    digests: Vec<Secret>,
}

impl Token {
    pub fn new(header: &str, tokens: &[Secret]) -> Self {
        let digests =
            tokens.iter().map(|token| Secret::new(digest(&SHA256, token.expose()).as_ref())).collect();
        Self { header: header.to_ascii_lowercase(), digests }
    }

    pub fn header(&self) -> &str {
        &self.header
    }

    /// # Errors
    /// `MissingHeader` or `TokenMismatch`.
    pub fn check(&self, request: &Request<'_>) -> Result<(), Cause> {
        // A token that is sent twice is no signature, but just as ambiguous.
        let presented = request.headers.single(&self.header).map_err(|_| Cause::TokenMismatch)?;
        let presented = digest(&SHA256, presented.ok_or(Cause::MissingHeader)?);
        let matching = self
            .digests
            .iter()
            .map(|configured| configured.expose().ct_eq(presented.as_ref()))
            .fold(subtle::Choice::from(0), |any, equal| any | equal);
        if matching.into() { Ok(()) } else { Err(Cause::TokenMismatch) }
    }
}
