//! Bulk operations on rejections: first counted, then re-verified or released in order of arrival,
//! in bounded steps. The client requests each step, so no work is left running when it disconnects,
//! and a restart is safe: a released rejection no longer exists.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::web;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::hmac;
use ring::rand::SystemRandom;

use super::super::error::ApiError;
use super::super::input::{JsonBody, NoParameters, Query};
use super::super::types::bulk::{BulkCount, BulkReply, BulkRequest, BulkStep, SelectedRejections};
use super::again::{Again, JUDGED_WITHIN, Judged};
use crate::http::service::Service;
use crate::store::{
    IngestError, NewMessage, Receipt, RejectionFilter, RejectionKind, RejectionPosition, RejectionRow,
    Unavailable,
};
use crate::verification::{Proof, Sources};

const ROWS_PER_STEP: usize = 64;
const BYTES_PER_STEP: i64 = 4 << 20;
const STEP_TIMEOUT: Duration = Duration::from_secs(3);
/// Limit on the pause after a step. The pause is as long as the step, so that incoming messages
/// take precedence.
const MAX_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Only verified requests become messages.
    Recheck,
    /// Candidates become messages without verification.
    Release,
}

/// The result for one rejection.
enum Finding {
    Message(Box<NewMessage>),
    StillRejected(&'static str),
    Skipped(&'static str),
    Gone,
}

/// Re-verifies rejections in order of arrival, e.g. after a secret was corrected. The first call
/// only counts; `confirm` runs the first step, and `cursor` each later one, until `next_cursor` is
/// null. Verified requests become messages with their original arrival time; the rest stays.
#[utoipa::path(post, path = "/rejections/recheck", tag = "rejections", request_body = BulkRequest,
    responses(
        (status = 200, description = "The count, or what the step has done.", body = BulkReply),
        (status = 409, description = "It is not as many rejections as were confirmed, or another step is running."),
    ))]
pub async fn recheck_all(
    service: web::Data<Service>,
    sources: web::Data<Sources>,
    _: Query<NoParameters>,
    body: JsonBody<BulkRequest>,
) -> Result<web::Json<BulkReply>, ApiError> {
    handle(&service, &sources, body.0, Action::Recheck).await
}

/// Releases rejections as messages without verifying their sender, in order of arrival and in the
/// same steps as a re-check. Only candidates are included. The messages are marked `unverified`.
#[utoipa::path(post, path = "/rejections/release", tag = "rejections", request_body = BulkRequest,
    responses(
        (status = 200, description = "The count, or what the step has done.", body = BulkReply),
        (status = 409, description = "It is not as many rejections as were confirmed, or another step is running."),
    ))]
pub async fn release_all(
    service: web::Data<Service>,
    sources: web::Data<Sources>,
    _: Query<NoParameters>,
    body: JsonBody<BulkRequest>,
) -> Result<web::Json<BulkReply>, ApiError> {
    handle(&service, &sources, body.0, Action::Release).await
}

async fn handle(
    service: &Service,
    sources: &Arc<Sources>,
    request: BulkRequest,
    action: Action,
) -> Result<web::Json<BulkReply>, ApiError> {
    let mut filter = request.filter.filter((service.clock)())?;
    filter.kind = (action == Action::Release).then_some(RejectionKind::Candidate);
    if request.through.is_some_and(|through| through < 0) {
        return Err(wrong("through", "must not be negative"));
    }
    let through = match request.through {
        Some(through) => through,
        None => service.store.reads().newest_rejection().await?,
    };
    let walk = format!("{action:?} {filter:?} {through}");
    let after = match &request.cursor {
        Some(cursor) => position_of(cursor, &walk)?,
        None => {
            let counts = service.store.reads().count_rejections(filter.clone(), through).await?;
            let count = counts.iter().map(|one| one.count).sum();
            match request.confirm {
                Some(confirmed) if confirmed == count => RejectionPosition::default(),
                Some(confirmed) => return Err(ApiError::CountChanged { confirmed, count }),
                None => {
                    let by_cause = counts.into_iter().map(|one| (one.cause, one.count)).collect();
                    let filter = selected_by(filter);
                    let count = BulkCount { count, confirm: count, by_cause, through, filter };
                    return Ok(web::Json(BulkReply::Count(count)));
                }
            }
        }
    };
    let busy = || ApiError::AlreadyRunning("Another step is running: try again.".to_owned());
    let _turn = service.rechecking.try_acquire().map_err(|_| busy())?;
    let began = Instant::now();
    let (mut step, next) = step(service, sources, filter, after, through, action).await?;
    step.next_cursor = next.map(|position| cursor_of(&position, &walk)).transpose()?;
    tokio::time::sleep(began.elapsed().min(MAX_PAUSE)).await;
    Ok(web::Json(BulkReply::Step(step)))
}

/// Runs one step and returns the position of the next; `None` after the last. The step ends if the
/// store becomes unavailable, which is an error only before the first result. A rejection that
/// cannot be verified or stored is skipped, and stays for a later run.
async fn step(
    service: &Service,
    sources: &Arc<Sources>,
    filter: RejectionFilter,
    after: RejectionPosition,
    through: i64,
    action: Action,
) -> Result<(BulkStep, Option<RejectionPosition>), ApiError> {
    let began = Instant::now();
    let heads =
        service.store.reads().next_rejections(filter.clone(), after.clone(), through, ROWS_PER_STEP).await?;
    let mut is_last = heads.len() < ROWS_PER_STEP;
    let mut problem = None;
    let mut findings: Vec<(RejectionRow, Finding)> = Vec::new();
    let mut bytes = 0;
    for head in heads {
        bytes += head.body_bytes.unwrap_or_default();
        let is_full = bytes > BYTES_PER_STEP || began.elapsed() > STEP_TIMEOUT;
        if is_full && !findings.is_empty() {
            is_last = false;
            break;
        }
        match find(service, sources, head.id, action).await {
            Ok(finding) => findings.push((head, finding)),
            Err(error) => {
                problem = Some(error);
                break;
            }
        }
    }
    let (mut step, position, unavailable) = write(service, findings).await;
    let problem = unavailable.map(ApiError::from).or(problem);
    if let (Some(problem), None) = (&problem, &position) {
        return Err(problem.clone());
    }
    let goes_on = problem.is_some() || !is_last;
    step.through = through;
    step.filter = selected_by(filter);
    Ok((step, goes_on.then(|| position.unwrap_or(after))))
}

async fn find(
    service: &Service,
    sources: &Arc<Sources>,
    id: i64,
    action: Action,
) -> Result<Finding, ApiError> {
    let stored = match service.store.reads().rejection(id).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Ok(Finding::Gone),
        Err(Unavailable::Damaged) => return Ok(Finding::Skipped("unreadable")),
        Err(why) => return Err(why.into()),
    };
    let rejection = match Again::of(sources, stored) {
        Ok(rejection) => rejection,
        Err(ApiError::NotReleasable(_)) => return Ok(Finding::Skipped("source_not_configured")),
        Err(_) => return Ok(Finding::Skipped("unreadable")),
    };
    if !rejection.has_body() {
        return Ok(Finding::Skipped("body_not_kept"));
    }
    let proof = if action == Action::Recheck { Proof::NeedsBody } else { Proof::Given };
    match rejection.judge(proof).await {
        Ok(Ok(Judged::Message(message))) if action == Action::Release => {
            // The operator decided, so the provider's API is not queried.
            Ok(Finding::Message(Box::new(NewMessage { unverified: true, asking: None, ..*message })))
        }
        Ok(Ok(Judged::Message(message))) => Ok(Finding::Message(message)),
        Ok(Ok(Judged::Handshake)) => Ok(Finding::Skipped("handshake")),
        Ok(Err(cause)) => Ok(Finding::StillRejected(cause.name())),
        Err(ApiError::NotReleasable(_)) => Ok(Finding::Skipped("method_not_allowed")),
        // Missing keys or a timeout of one request must not block the later ones.
        Err(ApiError::ProviderUnreachable) => Ok(Finding::Skipped("provider_not_reached")),
        Err(ApiError::Unavailable(_)) => Ok(Finding::Skipped("not_judged_in_time")),
        Err(_) => Ok(Finding::Skipped("unreadable")),
    }
}

/// Stores the messages among the findings in order. Returns how far it came, and the error that
/// stopped it.
async fn write(
    service: &Service,
    findings: Vec<(RejectionRow, Finding)>,
) -> (BulkStep, Option<RejectionPosition>, Option<Unavailable>) {
    let mut messages = Vec::new();
    let mut others = Vec::new();
    for (head, finding) in findings {
        let at = RejectionPosition { received_at: head.received_at, id: head.id };
        match finding {
            Finding::Message(message) => {
                messages.push((head.id, *message));
                others.push((at, None));
            }
            finding => others.push((at, Some(finding))),
        }
    }
    let deadline = Instant::now() + JUDGED_WITHIN;
    let mut stored = service.store.ingest().release_in_order(messages, deadline).await.into_iter();
    let mut step = BulkStep::default();
    let mut position = None;
    for (at, finding) in others {
        match finding {
            Some(Finding::StillRejected(cause)) => *step.still_rejected.entry(cause.into()).or_default() += 1,
            Some(Finding::Skipped(reason)) => *step.skipped.entry(reason.into()).or_default() += 1,
            Some(Finding::Gone | Finding::Message(_)) => step.gone += 1,
            None => match stored.next() {
                Some(Ok(Receipt::Duplicate { .. })) => step.duplicates += 1,
                Some(Ok(_)) => step.released += 1,
                Some(Err(IngestError::RejectionGone)) => step.gone += 1,
                // Affects only this one: its source is at its limit of unconfirmed messages, or the
                // row is rejected.
                Some(Err(IngestError::Unavailable(
                    why @ (Unavailable::TooManyAwaiting | Unavailable::Refused | Unavailable::Damaged),
                ))) => {
                    *step.skipped.entry(why.name().into()).or_default() += 1;
                }
                Some(Err(error)) => return (step, position, Some(error.unavailable())),
                None => return (step, position, Some(Unavailable::Failed)),
            },
        }
        position = Some(at);
    }
    (step, position, None)
}

fn selected_by(filter: RejectionFilter) -> SelectedRejections {
    let RejectionFilter { source, cause, since, until, kind: _ } = filter;
    SelectedRejections { source, cause, since, until }
}

/// Encodes a position and its tag. `walk`: the confirmed action, filter and end. Only a cursor from
/// a step of the same walk is accepted, so the count and its confirmation cannot be skipped.
fn cursor_of(position: &RejectionPosition, walk: &str) -> Result<String, ApiError> {
    let text = format!("{},{}", position.received_at, position.id);
    let tag = hmac::sign(cursor_key()?, format!("{walk} {text}").as_bytes());
    Ok(format!("{text},{}", BASE64_URL_SAFE_NO_PAD.encode(tag)))
}

fn position_of(cursor: &str, walk: &str) -> Result<RejectionPosition, ApiError> {
    let foreign = || {
        wrong(
            "cursor",
            "is not the `next_cursor` of a step with this `filter` and `through` since the service was started; without a cursor \
             the rejections are counted again",
        )
    };
    let (text, tag) = cursor.rsplit_once(',').ok_or_else(foreign)?;
    let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).map_err(|_| foreign())?;
    hmac::verify(cursor_key()?, format!("{walk} {text}").as_bytes(), &tag).map_err(|_| foreign())?;
    let (at, id) = text.split_once(',').ok_or_else(foreign)?;
    Ok(RejectionPosition { received_at: at.to_owned(), id: id.parse().map_err(|_| foreign())? })
}

/// Generated at first use, so a restart ends all walks.
fn cursor_key() -> Result<&'static hmac::Key, ApiError> {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| ApiError::Internal)?;
    Ok(KEY.get_or_init(|| key))
}

fn wrong(field: &'static str, problem: &str) -> ApiError {
    ApiError::InvalidValue { field, problem: problem.to_owned() }
}
