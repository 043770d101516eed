//! Re-verification and release of rejections, one or many.

use actix_web::{HttpRequest, web};

use super::super::error::ApiError;
use super::super::guard::log_message;
use super::super::input::{Id, JsonBody, NoParameters, Query};
use super::super::types::bulk::{BulkCount, BulkReply, BulkRequest, BulkStep, SelectedRejections};
use super::super::types::rejection::{Recheck, ReleasedMessage, Verdict};
use crate::operate::{
    BulkAction, Operator, RecheckOutcome, RejectionCount, RejectionStep, StepReport, StepRequest, explanation,
};
use crate::store::{MessageId, Receipt, RejectionFilter, RejectionId};

/// Re-verifies a rejection, e.g. after a secret was corrected. A verified request immediately
/// becomes a message with its original arrival time.
#[cfg_attr(test, utoipa::path(post, path = "/rejections/{id}/recheck", tag = "rejections",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The verdict.", body = Recheck),
        (status = 409, description = "Verification is impossible: the source of the rejection is not configured, or verification needs the body, which was not stored."),
    )))]
pub async fn recheck(
    operator: web::Data<Operator>,
    request: HttpRequest,
    id: Id<RejectionId>,
    _: Query<NoParameters>,
) -> Result<web::Json<Recheck>, ApiError> {
    let outcome = operator.recheck(id.0).await?;
    if let RecheckOutcome::Message(receipt) = outcome {
        log_message(&request, receipt.id());
    }
    Ok(web::Json(outcome.into()))
}

/// Releases a rejection as a message without verifying its sender. The message is marked
/// `unverified`, and delivered like any other.
#[cfg_attr(test, utoipa::path(post, path = "/rejections/{id}/release", tag = "rejections",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The message.", body = ReleasedMessage),
        (status = 409, description = "The rejection cannot become a message: its source is not configured, its body was not stored, or it is a handshake."),
    )))]
pub async fn release(
    operator: web::Data<Operator>,
    request: HttpRequest,
    id: Id<RejectionId>,
    _: Query<NoParameters>,
) -> Result<web::Json<ReleasedMessage>, ApiError> {
    let receipt = operator.release(id.0).await?;
    log_message(&request, receipt.id());
    Ok(web::Json(ReleasedMessage { message_id: receipt.id().get(), duplicate: is_duplicate(receipt) }))
}

/// Re-verifies rejections in order of arrival, e.g. after a secret was corrected. The first call
/// only counts; `confirm` runs the first step, and `cursor` each later one, until `next_cursor` is
/// null. Verified requests become messages with their original arrival time; the rest stays.
#[cfg_attr(test, utoipa::path(post, path = "/rejections/recheck", tag = "rejections", request_body = BulkRequest,
    responses(
        (status = 200, description = "The count, or the result of the step.", body = BulkReply),
        (status = 409, description = "The number of rejections differs from `confirm`, or another step is running."),
    )))]
pub async fn recheck_all(
    operator: web::Data<Operator>,
    _: Query<NoParameters>,
    body: JsonBody<BulkRequest>,
) -> Result<web::Json<BulkReply>, ApiError> {
    step(&operator, body.0, BulkAction::Recheck).await
}

/// Releases rejections as messages without verifying their sender, in order of arrival and in the
/// same steps as a recheck. Only candidates are included. The messages are marked `unverified`.
#[cfg_attr(test, utoipa::path(post, path = "/rejections/release", tag = "rejections", request_body = BulkRequest,
    responses(
        (status = 200, description = "The count, or the result of the step.", body = BulkReply),
        (status = 409, description = "The number of rejections differs from `confirm`, or another step is running."),
    )))]
pub async fn release_all(
    operator: web::Data<Operator>,
    _: Query<NoParameters>,
    body: JsonBody<BulkRequest>,
) -> Result<web::Json<BulkReply>, ApiError> {
    step(&operator, body.0, BulkAction::Release).await
}

async fn step(
    operator: &Operator,
    request: BulkRequest,
    action: BulkAction,
) -> Result<web::Json<BulkReply>, ApiError> {
    let BulkRequest { filter, through, confirm, cursor } = request;
    let filter = operator.rejection_filter(filter.into())?;
    let request = StepRequest { action, filter, through, confirm, cursor };
    Ok(web::Json(match operator.step_rejections(request).await? {
        StepReport::Count(count) => BulkReply::Count(count.into()),
        StepReport::Step(step) => BulkReply::Step(step.into()),
    }))
}

fn is_duplicate(receipt: Receipt) -> bool {
    matches!(receipt, Receipt::Duplicate { .. })
}

impl From<RecheckOutcome> for Recheck {
    fn from(outcome: RecheckOutcome) -> Self {
        let (verdict, text) = match outcome {
            RecheckOutcome::Message(_) => (Verdict::Accepted, "The request is genuine and is now a message."),
            RecheckOutcome::WithoutBody => (
                Verdict::Accepted,
                "The request would be verified now, but its body was not stored: the sender must resend it.",
            ),
            RecheckOutcome::Handshake => (
                Verdict::Handshake,
                "The request is a genuine handshake: the provider must start the handshake again.",
            ),
            RecheckOutcome::Rejected(cause) => (Verdict::Refused, explanation(cause)),
        };
        let cause = match outcome {
            RecheckOutcome::Rejected(cause) => Some(cause.name().into()),
            _ => None,
        };
        let receipt = match outcome {
            RecheckOutcome::Message(receipt) => Some(receipt),
            _ => None,
        };
        Self {
            verdict: verdict.into(),
            cause,
            explanation: text.into(),
            message_id: receipt.map(Receipt::id).map(MessageId::get),
            duplicate: receipt.is_some_and(is_duplicate),
        }
    }
}

impl From<RejectionCount> for BulkCount {
    fn from(counted: RejectionCount) -> Self {
        let count = counted.total();
        let RejectionCount { by_cause, through, filter } = counted;
        Self { count, confirm: count, by_cause, through, filter: filter.into() }
    }
}

impl From<RejectionStep> for BulkStep {
    fn from(result: RejectionStep) -> Self {
        let RejectionStep { numbers, next_cursor, through, filter } = result;
        Self {
            released: numbers.released,
            duplicates: numbers.duplicates,
            still_rejected: numbers.still_rejected.into_iter().map(|(cause, n)| (cause.into(), n)).collect(),
            skipped: numbers.skipped.into_iter().map(|(reason, n)| (reason.into(), n)).collect(),
            gone: numbers.gone,
            next_cursor,
            through,
            filter: filter.into(),
        }
    }
}

impl From<RejectionFilter> for SelectedRejections {
    fn from(filter: RejectionFilter) -> Self {
        let RejectionFilter { source, cause, since, until, kind: _ } = filter;
        Self { source, cause, since: since.map(|at| at.to_string()), until: until.map(|at| at.to_string()) }
    }
}
