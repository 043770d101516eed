//! The cause of a rejection, and whether the request may be genuine.

use crate::providers::{Cause, Request, Verifier};
use crate::store::RejectionKind;

/// The cause of a rejection, and whether the request may still be genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectionReason {
    pub cause: Cause,
    pub kind: RejectionKind,
}

impl RejectionReason {
    pub fn of(verifier: &Verifier, request: &Request<'_>, cause: Cause) -> Self {
        let may_be_genuine = match cause {
            Cause::HandshakeRefused | Cause::NotConfirmed => false,
            // The timestamp is checked last, so a stale request is correctly signed.
            Cause::StaleTimestamp => true,
            _ => verifier.is_proof_carried(request),
        };
        Self { cause, kind: if may_be_genuine { RejectionKind::Candidate } else { RejectionKind::Noise } }
    }

    pub fn noise(cause: Cause) -> Self {
        Self { cause, kind: RejectionKind::Noise }
    }
}

/// Whether a wrong URL may be the cause, if the scheme signs the URL.
pub fn cause_may_concern_url(cause: Cause) -> bool {
    matches!(cause, Cause::SignatureMismatch | Cause::ClaimMismatch)
}
