//! Verifies requests: small bodies on the calling thread, large or compressed ones on a blocking
//! thread. Fetches missing keys.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::error::Elapsed;
use tokio::time::timeout_at;

use crate::json::OFFLOAD_BYTES_MIN;
use crate::providers::{KeyRequest, Verifier};
use crate::request_id;
use crate::store::Unavailable;
use crate::verification::examine::{ExamineError, OwnedRequest, Proof, VerificationOutcome, examine};
use crate::verification::fetches::{self, ProviderUnreachable};
use crate::verification::incoming::IncomingRequest;
use crate::verification::lookups::Lookups;
use crate::verification::reading;
use crate::verification::source::Source;
use crate::verification::sources::Sources;

/// Limit on fetches for one request: a key, a certificate, and the issuers of the certificate.
const MAX_FETCHES: usize = 5;

/// The reason why a request cannot be verified now. The request may be genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerificationError {
    Unavailable(Unavailable),
    /// The body budget has no room for the decoded body.
    NoRoom,
    /// A key, certificate or URL of the provider is unavailable.
    NotReached,
    /// A bug: the verification has panicked.
    Failed,
}

impl From<ProviderUnreachable> for VerificationError {
    fn from(_: ProviderUnreachable) -> Self {
        Self::NotReached
    }
}

impl From<Elapsed> for VerificationError {
    fn from(_: Elapsed) -> Self {
        Self::Unavailable(Unavailable::Deadline)
    }
}

impl From<JoinError> for VerificationError {
    fn from(_: JoinError) -> Self {
        Self::Failed
    }
}

/// Verifies a request, and fetches the keys that it needs.
///
/// # Errors
/// The request cannot be verified now.
pub async fn verify(
    sources: &Arc<Sources>,
    source: &Arc<Source>,
    verifier: &Arc<Verifier>,
    incoming: &IncomingRequest<'_>,
    body: &Bytes,
    proof: Proof,
    deadline: Instant,
) -> Result<VerificationOutcome, VerificationError> {
    let (fetches, client) = (&source.fetches, &sources.client);
    for fetched in 0..=MAX_FETCHES {
        let (outcome, used) =
            examine_on_suitable_thread(sources, source, verifier, incoming, body, proof, deadline).await?;
        match outcome {
            Ok(outcome) => {
                if !matches!(outcome, VerificationOutcome::Rejected(_)) {
                    fetches::record_verified(fetches, verifier, client, &used, incoming.client);
                }
                return Ok(outcome);
            }
            Err(ExamineError::NoRoom) => return Err(VerificationError::NoRoom),
            Err(ExamineError::Missing(_)) if fetched == MAX_FETCHES => break,
            Err(ExamineError::Missing(wanted)) => {
                fetches::fetch(fetches, verifier, client, &wanted, incoming.client, deadline).await?;
            }
        }
    }
    Err(VerificationError::NotReached)
}

/// Examines a request on this thread or, if its body is large or compressed, on a blocking thread.
/// Also returns the keys that were used.
async fn examine_on_suitable_thread(
    sources: &Arc<Sources>,
    source: &Arc<Source>,
    verifier: &Arc<Verifier>,
    incoming: &IncomingRequest<'_>,
    body: &Bytes,
    proof: Proof,
    deadline: Instant,
) -> Result<(Result<VerificationOutcome, ExamineError>, Vec<KeyRequest>), VerificationError> {
    let (request, rules) = (incoming.request(body), source.rules(verifier));
    let room = sources.decoding_room();
    if body.len() < OFFLOAD_BYTES_MIN && reading::is_quick(&request) {
        let lookups = Lookups::new(&source.fetches, sources);
        let outcome = examine(&rules, &request, body, proof, &lookups, room);
        return Ok((outcome, lookups.used()));
    }
    let mut turn = None;
    if rules.rewrites_body() {
        turn = timeout_at(deadline.into(), sources.rewrite_turn()).await?;
    }
    let (sources, fetches) = (Arc::clone(sources), Arc::clone(&source.fetches));
    let (request, body) = (OwnedRequest::from(&request), body.clone());
    let examined = spawn_blocking(request_id::for_thread(move || {
        // The turn is held until the work ends, because the work continues if the request is
        // dropped.
        let _turn = turn;
        let lookups = Lookups::new(&fetches, &sources);
        let outcome = request.examine(&rules, &body, proof, &lookups, room);
        (outcome, lookups.used())
    }));
    Ok(timeout_at(deadline.into(), examined).await??)
}
