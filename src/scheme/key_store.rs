//! Keys and certificates that authentication needs. This module fetches nothing: it names
//! the missing ones, and the caller fetches them and retries.

use serde_json::Value;

use super::certificate::{CertificateError, Roots, certificates, trusted_key};
use super::public_key::PublicKey;
use crate::content::request::Cause;
use crate::content::view::View;
use crate::json::{Object, text_of};

/// Maximum size of a key id, longer than any provider's. Unknown ids are cached, and they come from
/// untrusted requests.
pub const MAX_ID_BYTES: usize = 256;
pub const MAX_URL_BYTES: usize = 512;
/// Limit on the fetched issuers of a certificate. Real chains have few links; a longer chain is an
/// attack.
const MAX_ISSUERS: usize = 3;

/// A key or certificate that must be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyRequest {
    /// A public key of the provider; without an id, all of them.
    Key { id: Option<String> },
    /// A certificate at a URL whose host the recipe pins.
    Document(String),
    /// The issuer of a certificate, at the URL in that certificate. The chain verifies it.
    Issuer(String),
}

/// The cached result for a requested key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyResponse {
    /// Public keys, each as PEM, base64 or a JSON Web Key.
    Keys(Vec<String>),
    Document(Vec<u8>),
    /// The provider does not have the key or certificate.
    Unknown,
    /// The key has not been fetched, or is too old.
    NotYet,
}

/// The fetched keys and the trusted roots.
pub trait KeyStore {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse;

    /// Whether the cached answer may be outdated, so that it is fetched again before a rejection.
    fn may_be_outdated(&self, _wanted: &KeyRequest) -> bool {
        false
    }

    /// The trusted roots; called only to verify a certificate.
    fn roots(&self) -> &Roots;
}

/// The reason why a request is not authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyError {
    Rejected(Cause),
    /// Verification needs this key first.
    Missing(KeyRequest),
}

impl From<Cause> for VerifyError {
    fn from(cause: Cause) -> Self {
        Self::Rejected(cause)
    }
}

impl dyn KeyStore + '_ {
    /// Returns the provider's keys with this id; without an id, all of them.
    ///
    /// # Errors
    /// The key does not exist, or is not fetched yet.
    pub fn keys(&self, id: Option<&str>) -> Result<Vec<PublicKey>, VerifyError> {
        // The id may become a segment of a URL, in which dots change the path.
        if id.is_some_and(|id| id.len() > MAX_ID_BYTES || matches!(id, "" | "." | "..")) {
            return Err(Cause::UnknownKey.into());
        }
        let wanted = KeyRequest::Key { id: id.map(str::to_owned) };
        match self.known(&wanted) {
            KeyResponse::Keys(texts) => {
                let keys: Vec<PublicKey> = texts.iter().filter_map(|text| key(text)).collect();
                if keys.is_empty() { Err(Cause::UnknownKey.into()) } else { Ok(keys) }
            }
            KeyResponse::NotYet => Err(VerifyError::Missing(wanted)),
            KeyResponse::Document(_) | KeyResponse::Unknown => Err(Cause::UnknownKey.into()),
        }
    }

    /// Returns the error for a signature that matches no key with this id (without an id: none of
    /// the provider's keys). If the request does not name its key, the key may be newer than the
    /// cached set.
    pub fn mismatch(&self, id: Option<&str>) -> VerifyError {
        let wanted = KeyRequest::Key { id: id.map(str::to_owned) };
        if self.may_be_outdated(&wanted) {
            VerifyError::Missing(wanted)
        } else {
            Cause::SignatureMismatch.into()
        }
    }

    /// Returns the key of the certificate at a URL, if host, validity and chain are correct.
    ///
    /// # Errors
    /// `CertificateNotTrusted`, or the certificate that must be fetched first.
    pub fn certified_key(
        &self,
        url: &str,
        hosts: impl Fn(&str) -> bool,
        view: &View<'_>,
    ) -> Result<PublicKey, VerifyError> {
        if url.len() > MAX_URL_BYTES || !is_pinned(url, hosts) {
            return Err(Cause::CertificateNotTrusted.into());
        }
        let chain = self.document(KeyRequest::Document(url.to_owned()))?;
        let (mut further, mut issuers) = (Vec::new(), 0);
        loop {
            match trusted_key(&chain, &further, self.roots(), view.request.now) {
                Ok(key) => return Ok(key),
                Err(CertificateError::IssuerMissing { url: Some(url) }) if issuers < MAX_ISSUERS => {
                    issuers += 1;
                    further.extend(certificates(&self.document(KeyRequest::Issuer(url))?));
                }
                Err(_) => return Err(Cause::CertificateNotTrusted.into()),
            }
        }
    }

    fn document(&self, wanted: KeyRequest) -> Result<Vec<u8>, VerifyError> {
        match self.known(&wanted) {
            KeyResponse::Document(text) => Ok(text),
            KeyResponse::NotYet => Err(VerifyError::Missing(wanted)),
            KeyResponse::Keys(_) | KeyResponse::Unknown => Err(Cause::CertificateNotTrusted.into()),
        }
    }
}

/// Parses a key as providers publish it: PEM, base64 or a JSON Web Key.
pub fn key(text: &str) -> Option<PublicKey> {
    if text.trim_start().starts_with('{') {
        let key = Object::read(text.trim())?;
        // Members that are not valid strings are irrelevant for the key.
        let text = |(name, value)| Some((text_of(name)?.into_owned(), Value::from(text_of(value)?)));
        return PublicKey::from_jwk(&Value::Object(key.members().filter_map(text).collect())).ok();
    }
    PublicKey::parse(text).ok()
}

/// Whether a URL has https, the standard port and an allowed host, and no user name or password.
pub fn is_pinned(url: &str, hosts: impl Fn(&str) -> bool) -> bool {
    url::Url::parse(url).is_ok_and(|url| {
        url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.host_str().is_some_and(hosts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_at_the_pinned_host_is_pinned() {
        let pinned = |url: &str| is_pinned(url, |host| host == "api.paypal.com");
        assert!(pinned("https://api.paypal.com/v1/cert"));
        for url in [
            "http://api.paypal.com/v1/cert",
            "https://api.paypal.com:444/",
            "https://api.paypal.com@evil.example/",
            "https://evil@api.paypal.com/",
            "https://api.paypal.com.evil.example/",
            "https://evil.example/?https://api.paypal.com/",
            "//api.paypal.com/",
            "",
        ] {
            assert!(!pinned(url), "{url}");
        }
    }

    #[test]
    fn odd_jwk_member_does_not_hide_the_key() {
        // RFC 8037, appendix A.2, with more members.
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "note":"\ud83d","far":1e400}"#;
        assert!(key(jwk).is_some());
    }
}
