//! Explanations of rejections: the changes that fit, the advice, and the absence of secrets.

mod advice;
mod catalogue;
mod trials;

use super::super::explain::*;
use super::*;

/// Explains why the verifier rejects the request, next to these other sources.
fn diagnosis_among(
    sent: &SentRequest,
    verifier: &Verifier,
    key_store: &dyn KeyStore,
    others: &[OtherSource<'_>],
) -> Diagnosis {
    diagnosis_hiding(sent, verifier, key_store, others, &[])
}

/// Explains a rejection without showing the hidden texts.
fn diagnosis_hiding(
    sent: &SentRequest,
    verifier: &Verifier,
    key_store: &dyn KeyStore,
    others: &[OtherSource<'_>],
    hidden: &[Secret],
) -> Diagnosis {
    let verdict = sent.put(|request| verifier.authenticate(request, key_store));
    let cause = match verdict {
        Err(VerifyError::Rejected(cause)) => Some(cause),
        _ => None,
    };
    sent.put(|request| {
        explain(&RejectedRequest {
            source: "test",
            verifier,
            request,
            has_body: true,
            cause,
            key_store,
            others,
            hidden,
        })
    })
}

fn diagnosis(sent: &SentRequest, verifier: &Verifier) -> Diagnosis {
    diagnosis_among(sent, verifier, &EmptyKeyStore, &[])
}

fn fitting(diagnosis: &Diagnosis) -> Vec<Trial> {
    let fits = |row: &&TrialResult| matches!(row.outcome, TrialOutcome::Fits(_));
    diagnosis.trials.iter().filter(fits).map(|row| row.trial).collect()
}

/// Returns a sample with this body, signed with the verifier's secret.
fn signed(verifier: &Verifier, body: &str) -> SentRequest {
    let mut draft = verifier.unsigned_sample(&sample_options(None, "nonce")).unwrap();
    draft.body = body.to_owned();
    verifier.add_proofs(&mut draft, None).unwrap();
    let sample = Sample { headers: draft.headers, query: draft.query, body: draft.body };
    SentRequest::of(sample)
}

#[track_caller]
fn assert_fits(diagnosis: &Diagnosis, trial: Trial, context: &str) {
    let found = fitting(diagnosis);
    assert!(found.contains(&trial), "{context}: {trial:?} is not in {found:?}: {:?}", diagnosis.advice);
    assert!(!diagnosis.verifies, "{context}");
}
