//! The explanation of one rejection.

use actix_web::web;

use super::super::error::ApiError;
use super::super::input::{Id, NoParameters, Query};
use super::super::types::explanation::{
    ComparedAddress, ForwardedHop, ForwardedRole, RejectionExplanation, SignedText, TrialVerdict, TriedChange,
};
use crate::http::tokens::Role;
use crate::operate::{AddressReport, ExplainedRejection, Hop, HopRole, Operator};
use crate::providers::{SignaturePrefix, TextExcerpt, TrialOutcome, TrialResult};
use crate::store::RejectionId;

/// Why a request was rejected: the signed text, both signatures, and changes that were tried, with
/// the current settings. Only for the admin token. Nothing is changed or fetched.
#[cfg_attr(test, utoipa::path(get, path = "/rejections/{id}/explanation", tag = "rejections",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The explanation.", body = RejectionExplanation),
        (status = 409, description = "The source is no longer configured."),
    )))]
pub async fn explanation(
    operator: web::Data<Operator>,
    role: Role,
    id: Id<RejectionId>,
    _: Query<NoParameters>,
) -> Result<web::Json<RejectionExplanation>, ApiError> {
    role.must_be_admin("the content of rejections")?;
    Ok(web::Json(operator.explain_rejection(id.0).await?.into()))
}

impl From<ExplainedRejection> for RejectionExplanation {
    fn from(explained: ExplainedRejection) -> Self {
        let ExplainedRejection { head, diagnosis, address } = explained;
        let prefix = |signature: SignaturePrefix| signature.as_str().to_owned();
        Self {
            id: head.id.get(),
            received_at: head.received_at.to_string(),
            source: head.source,
            cause: head.cause,
            verifies: diagnosis.verifies,
            schemes: diagnosis.schemes,
            signed_text: diagnosis.signed_text.map(SignedText::from),
            received_signature: diagnosis.received_signature.map(prefix),
            computed_signature: diagnosis.computed_signature.map(prefix),
            trials: diagnosis.trials.into_iter().map(TriedChange::from).collect(),
            advice: diagnosis.advice,
            address: address.map(ComparedAddress::from),
            omissions: diagnosis.omissions,
        }
    }
}

impl From<TextExcerpt> for SignedText {
    fn from(TextExcerpt { bytes, first, last }: TextExcerpt) -> Self {
        Self { bytes, first, last }
    }
}

impl From<TrialResult> for TriedChange {
    fn from(TrialResult { trial, outcome }: TrialResult) -> Self {
        let (result, advice) = match outcome {
            TrialOutcome::Fits(advice) => (TrialVerdict::Fits, Some(advice)),
            TrialOutcome::Differs => (TrialVerdict::Differs, None),
            TrialOutcome::Inapplicable => (TrialVerdict::Inapplicable, None),
            TrialOutcome::LeftOut => (TrialVerdict::LeftOut, None),
        };
        Self { name: trial.name().to_owned(), title: trial.title().to_owned(), result: result.into(), advice }
    }
}

impl From<AddressReport> for ComparedAddress {
    fn from(report: AddressReport) -> Self {
        let AddressReport { client, is_allowed, allowed, origin: _, hops } = report;
        let hops = hops.into_iter().map(ForwardedHop::from).collect();
        Self { client: client.to_string(), is_allowed, allowed, hops }
    }
}

impl From<Hop> for ForwardedHop {
    fn from(Hop { address, role }: Hop) -> Self {
        let role = match role {
            HopRole::Unverified => ForwardedRole::Unverified,
            HopRole::Client => ForwardedRole::Client,
            HopRole::TrustedProxy => ForwardedRole::TrustedProxy,
        };
        Self { address, role: role.into() }
    }
}
