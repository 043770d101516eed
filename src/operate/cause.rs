//! Explanations of rejection causes, for people who need to fix the sender or the settings.

use crate::providers::Cause;

/// Explanation of an unknown cause.
pub const UNKNOWN_CAUSE: &str = "Refused for a cause that this version does not know.";

/// Finds a cause by its name in the database.
pub fn cause_of(name: &str) -> Option<Cause> {
    serde_json::from_value(name.into()).ok()
}

/// Explains a cause, with hints.
pub fn explanation(cause: Cause) -> &'static str {
    match cause {
        Cause::MissingHeader => {
            "A header that the provider's scheme needs was missing or empty: look whether a secret is set at the provider, and whether a proxy takes headers away."
        }
        Cause::MalformedSignature => {
            "The signature or its timestamp is not written as the provider writes it, or came twice: look whether the source has the right provider."
        }
        Cause::UnknownAlgorithm => {
            "The signature names an algorithm or version that the provider's recipe does not know."
        }
        Cause::StaleTimestamp => {
            "Correctly signed, but too long ago or too far ahead: look at the clock of this machine, or at the source's tolerance. It may also be a repetition by somebody who has listened."
        }
        Cause::SignatureMismatch => {
            "The signature is not that of this request with the configured secret: check that the secret is the provider's, and that no proxy changes bodies. Where the scheme signs the URL (`signed_url`), it must be the URL that is registered at the provider, letter by letter, and no proxy may rewrite the query."
        }
        Cause::TokenMismatch => "The token is none of the configured ones: check that it is the provider's.",
        Cause::ClaimMismatch => {
            "A genuine token or signature, but for another body, URL, issuer or recipient: look whether the source's URL is as registered at the provider."
        }
        Cause::WrongAccount => {
            "Correctly signed by the provider, but for another account than the configured one."
        }
        Cause::UnknownKey => {
            "The request names a key that the provider has not published, or of a kind of which the source has none."
        }
        Cause::CertificateNotTrusted => {
            "The certificate that the request names is of another host, not valid now, or issued by nobody who is trusted."
        }
        Cause::HandshakeRefused => {
            "A handshake that must not be answered: a wrong verify token, a challenge of another shape, or a secret that is known already (`creel learn` opens the window again)."
        }
        Cause::NotConfirmed => "The provider's API does not know what the request claims.",
        Cause::TooLarge => {
            "The body must be decoded or written anew to be checked, and is larger, or has more fields, than what any provider of that kind sends: whether it is genuine is not known."
        }
        Cause::AddressNotAllowed => {
            "The client's address is not among those that the source allows: look at its allowlist, and at CREEL_TRUSTED_PROXIES."
        }
    }
}
