//! Explanations of rejection causes, for people who need to fix the sender or the settings.

use crate::providers::Cause;

/// Explanation of an unknown cause.
pub const UNKNOWN_CAUSE: &str = "Rejected for a cause that is unknown to this version.";

/// Finds a cause by its name in the database.
pub fn cause_of(name: &str) -> Option<Cause> {
    serde_json::from_value(name.into()).ok()
}

/// Explains a cause, with hints.
pub fn explanation(cause: Cause) -> &'static str {
    match cause {
        Cause::MissingHeader => {
            "A header that the provider's scheme requires was missing or empty: check that a secret is set in the provider's settings, and that no proxy removes headers."
        }
        Cause::MalformedSignature => {
            "The signature or its timestamp does not have the provider's format, or is repeated: check that the source has the right provider."
        }
        Cause::UnknownAlgorithm => {
            "The signature names an algorithm or version that the provider's recipe does not support, or that the source does not allow."
        }
        Cause::StaleTimestamp => {
            "Correctly signed, but the timestamp is too old or too far in the future: check this machine's clock and the source's tolerance. It may also be an intercepted request that was sent again."
        }
        Cause::SignatureMismatch => {
            "The signature does not match this request and the configured secret: check that the secret is the provider's, and that no proxy changes bodies. If the scheme signs the URL (`signed_url`), it must be exactly the URL that is registered with the provider, and no proxy may rewrite the query."
        }
        Cause::TokenMismatch => {
            "The token is not one of the configured tokens: check that they are the provider's."
        }
        Cause::ClaimMismatch => {
            "A genuine token or signature, but for another body, URL, issuer or recipient: check that the source's URL is the one registered with the provider."
        }
        Cause::WrongAccount => {
            "Correctly signed by the provider, but for an account other than the configured one."
        }
        Cause::UnknownKey => {
            "The request names a key that the provider has not published, or a kind of key that the source does not have."
        }
        Cause::CertificateNotTrusted => {
            "The certificate that the request names is for another host, not valid now, or not issued by a trusted authority."
        }
        Cause::HandshakeRefused => {
            "A handshake that must not be answered: a wrong verify token, a challenge in an unexpected format, or a secret for a source that already has one (`creel learn` allows a new one)."
        }
        Cause::NotConfirmed => "The provider's API does not confirm the content of the request.",
        Cause::TooLarge => {
            "The body must be decoded or rewritten for verification, and is larger, or has more fields, than any body that the provider sends. It is unknown whether the request is genuine."
        }
        Cause::AddressNotAllowed => {
            "The client's address is not in the source's allowlist: check the allowlist and CREEL_TRUSTED_PROXIES."
        }
    }
}
