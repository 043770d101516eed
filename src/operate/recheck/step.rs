//! Bulk operations on rejections: count them, then re-verify or release them in order of arrival,
//! in bounded steps. The client requests each step, so no work continues after it disconnects. A
//! restart is safe, because a released rejection no longer exists.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::operator::Operator;
use super::super::problem::Problem;
use super::cursor::{cursor_of, position_of};
use super::restored::{RestoredRequest, VERIFICATION_TIMEOUT, Verification, unverified};
use crate::store::{
    IngestError, NewMessage, Receipt, RejectionFilter, RejectionId, RejectionKind, RejectionPosition,
    RejectionRow, Unavailable,
};
use crate::verification::Proof;

const ROWS_PER_STEP: usize = 64;
const BYTES_PER_STEP: i64 = 4 << 20;
const STEP_TIMEOUT: Duration = Duration::from_secs(3);
/// Limit on the pause after a step. The pause is as long as the step, so that incoming messages
/// take precedence.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// The selected rejections and the position of the next step.
#[derive(Debug)]
pub struct StepRequest {
    pub action: BulkAction,
    pub filter: RejectionFilter,
    /// The newest selected rejection; default: the newest stored one.
    pub through: Option<RejectionId>,
    /// The number from a previous count. The first step runs only if the number is unchanged.
    /// Without `confirm` and `cursor`, the rejections are only counted.
    pub confirm: Option<u64>,
    /// The position that the previous step returned.
    pub cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkAction {
    /// Verified requests become messages; others stay in quarantine.
    Recheck,
    /// Candidates become messages without verification.
    Release,
}

/// The count, or the result of a step.
#[derive(Debug)]
pub enum StepReport {
    Count(RejectionCount),
    Step(RejectionStep),
}

/// The number of matching rejections; no step was run.
#[derive(Debug)]
pub struct RejectionCount {
    pub by_cause: BTreeMap<String, u64>,
    pub through: RejectionId,
    pub filter: RejectionFilter,
}

/// The result of one step.
#[derive(Debug)]
pub struct RejectionStep {
    pub numbers: StepNumbers,
    /// `None` after the last step.
    pub next_cursor: Option<String>,
    pub through: RejectionId,
    pub filter: RejectionFilter,
}

/// The numbers of rejections in one step, by result.
#[derive(Debug, Default)]
pub struct StepNumbers {
    /// Rejections that became messages.
    pub released: u64,
    /// Duplicates of stored messages, which are only counted.
    pub duplicates: u64,
    /// Rejections that failed verification again and stay, by cause.
    pub still_rejected: BTreeMap<&'static str, u64>,
    /// Rejections that cannot become messages and stay, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Rejections that were deleted or released in the meantime.
    pub gone: u64,
}

/// The rejections that remain from the position of this step, after their count was confirmed.
struct StepPlan {
    action: BulkAction,
    filter: RejectionFilter,
    after: RejectionPosition,
    through: RejectionId,
}

/// The result for one rejection.
enum Finding {
    Message(Box<NewMessage>),
    StillRejected(&'static str),
    Skipped(&'static str),
    Gone,
}

impl RejectionCount {
    pub fn total(&self) -> u64 {
        self.by_cause.values().sum()
    }
}

impl Operator {
    /// Counts the rejections, or runs a step: the first one if the number is confirmed, a later one
    /// if there is a cursor. Only one step runs at a time.
    ///
    /// # Errors
    /// If the request is invalid, the count differs from the confirmed one, another step is
    /// running, or the store is unavailable before the first result.
    pub async fn step_rejections(&self, request: StepRequest) -> Result<StepReport, Problem> {
        let StepRequest { action, mut filter, through, confirm, cursor } = request;
        filter.kind = (action == BulkAction::Release).then_some(RejectionKind::Candidate);
        if through.is_some_and(|through| through < RejectionId::START) {
            return Err(Problem::invalid("through", "must not be negative"));
        }
        let through = match through {
            Some(through) => through,
            None => self.store.reads().newest_rejection().await?,
        };
        let walk = format!("{action:?} {filter:?} {through}");
        let after = match cursor {
            Some(cursor) => position_of(&cursor, &walk)?,
            None => {
                let counts = self.store.reads().count_rejections(filter.clone(), through).await?;
                let by_cause = counts.into_iter().map(|one| (one.cause, one.count)).collect();
                let counted = RejectionCount { by_cause, through, filter: filter.clone() };
                match (confirm, counted.total()) {
                    (None, _) => return Ok(StepReport::Count(counted)),
                    (Some(confirmed), count) if confirmed == count => RejectionPosition::START,
                    (Some(confirmed), count) => return Err(Problem::CountChanged { confirmed, count }),
                }
            }
        };
        let _turn = self.rechecking.try_acquire().map_err(|_| Problem::StepRunning)?;
        let began = Instant::now();
        let plan = StepPlan { action, filter, after, through };
        let (numbers, next) = self.run_step(&plan).await?;
        let next_cursor = next.map(|position| cursor_of(&position, &walk)).transpose()?;
        tokio::time::sleep(began.elapsed().min(MAX_PAUSE)).await;
        Ok(StepReport::Step(RejectionStep { numbers, next_cursor, through, filter: plan.filter }))
    }

    /// Runs one step and returns the position of the next; `None` after the last. The step ends if
    /// the store becomes unavailable, which is an error only before the first result. A rejection
    /// that cannot be verified or stored is skipped, and stays for a later run.
    async fn run_step(&self, plan: &StepPlan) -> Result<(StepNumbers, Option<RejectionPosition>), Problem> {
        let began = Instant::now();
        let reads = self.store.reads();
        let heads = reads
            .next_rejections(plan.filter.clone(), plan.after.clone(), plan.through, ROWS_PER_STEP)
            .await?;
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
            match self.finding_of(head.id, plan.action).await {
                Ok(finding) => findings.push((head, finding)),
                Err(error) => {
                    problem = Some(error);
                    break;
                }
            }
        }
        let (numbers, position, unavailable) = self.store_findings(findings).await;
        let is_unfinished = problem.is_some() || unavailable.is_some() || !is_last;
        match (position, unavailable.map(Problem::from).or(problem)) {
            (None, Some(problem)) => Err(problem),
            (position, _) => {
                let next = position.unwrap_or_else(|| plan.after.clone());
                Ok((numbers, is_unfinished.then_some(next)))
            }
        }
    }

    async fn finding_of(&self, id: RejectionId, action: BulkAction) -> Result<Finding, Problem> {
        let stored = match self.store.reads().rejection(id).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(Finding::Gone),
            Err(Unavailable::Damaged) => return Ok(Finding::Skipped("unreadable")),
            Err(why) => return Err(why.into()),
        };
        let request = match RestoredRequest::of(&self.sources, stored) {
            Ok(request) => request,
            Err(Problem::SourceNotConfigured(_)) => return Ok(Finding::Skipped("source_not_configured")),
            Err(_) => return Ok(Finding::Skipped("unreadable")),
        };
        if !request.has_body() {
            return Ok(Finding::Skipped("body_not_kept"));
        }
        let proof = if action == BulkAction::Recheck { Proof::NeedsBody } else { Proof::Authenticated };
        Ok(match request.verify(proof).await {
            Ok(Verification::Message(message)) if action == BulkAction::Release => {
                Finding::Message(Box::new(unverified(*message)))
            }
            Ok(Verification::Message(message)) => Finding::Message(message),
            Ok(Verification::Handshake) => Finding::Skipped("handshake"),
            Ok(Verification::Rejected(cause)) => Finding::StillRejected(cause.name()),
            Err(problem) => Finding::Skipped(skip_reason(&problem)),
        })
    }

    /// Stores the messages among the findings in order. Returns the numbers, the position of the
    /// last processed finding, and the error that ended the processing, if any.
    async fn store_findings(
        &self,
        findings: Vec<(RejectionRow, Finding)>,
    ) -> (StepNumbers, Option<RejectionPosition>, Option<Unavailable>) {
        let mut messages = Vec::new();
        let mut others = Vec::new();
        for (head, finding) in findings {
            let at = RejectionPosition { received_at: head.received_text, id: head.id };
            match finding {
                Finding::Message(message) => {
                    messages.push((head.id, *message));
                    others.push((at, None));
                }
                finding => others.push((at, Some(finding))),
            }
        }
        let deadline = Instant::now() + VERIFICATION_TIMEOUT;
        let mut stored = self.store.ingest().release_in_order(messages, deadline).await.into_iter();
        let mut numbers = StepNumbers::default();
        let mut position = None;
        for (at, finding) in others {
            let counted = match finding {
                Some(finding) => {
                    numbers.count(&finding);
                    Ok(())
                }
                None => numbers.count_stored(stored.next()),
            };
            if let Err(why) = counted {
                return (numbers, position, Some(why));
            }
            position = Some(at);
        }
        (numbers, position, None)
    }
}

/// Returns the reason why a rejection is skipped. A temporary problem of one request, such as
/// missing keys, must not block the later ones.
fn skip_reason(problem: &Problem) -> &'static str {
    match problem {
        Problem::MethodWithoutMessage { .. } => "method_not_allowed",
        Problem::ProviderUnreachable => "provider_not_reached",
        Problem::Unavailable(_) | Problem::NoRoom => "not_judged_in_time",
        _ => "unreadable",
    }
}

impl StepNumbers {
    fn count(&mut self, finding: &Finding) {
        match finding {
            Finding::StillRejected(cause) => *self.still_rejected.entry(cause).or_default() += 1,
            Finding::Skipped(reason) => *self.skipped.entry(reason).or_default() += 1,
            Finding::Gone | Finding::Message(_) => self.gone += 1,
        }
    }

    /// Counts the result of storing one message.
    ///
    /// # Errors
    /// If the store is also unavailable for the following messages.
    fn count_stored(&mut self, stored: Option<Result<Receipt, IngestError>>) -> Result<(), Unavailable> {
        match stored.ok_or(Unavailable::Failed)? {
            Ok(Receipt::Duplicate { .. }) => self.duplicates += 1,
            Ok(_) => self.released += 1,
            Err(IngestError::RejectionGone) => self.gone += 1,
            // These affect only this message: its source is at its limit of unconfirmed messages,
            // the database rejected the row, or the row is damaged.
            Err(IngestError::Unavailable(
                why @ (Unavailable::TooManyAwaiting | Unavailable::Refused | Unavailable::Damaged),
            )) => {
                *self.skipped.entry(why.name()).or_default() += 1;
            }
            Err(error) => return Err(error.unavailable()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_problem_does_not_count_as_unreadable() {
        for (problem, reason) in [
            (Problem::NoRoom, "not_judged_in_time"),
            (Problem::Unavailable(Unavailable::Deadline), "not_judged_in_time"),
            (Problem::ProviderUnreachable, "provider_not_reached"),
            (Problem::Internal, "unreadable"),
        ] {
            assert_eq!(skip_reason(&problem), reason);
        }
    }
}
