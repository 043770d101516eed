//! Decides from an API's answer whether a message is confirmed or rejected, or whether the API is
//! queried again later. No I/O.

use std::time::Duration;

use time::OffsetDateTime;

use super::super::schedule::next_try_after;
use crate::providers::ConfirmResult;
use crate::store::{ConfirmationOutcome, DueConfirmation, Settlement, Timestamp};

/// "Not found" answers required before a message is rejected, because a provider's API can be
/// slower than its webhook.
const UNKNOWN_IS_FINAL_AFTER: u32 = 3;
/// Limit on a stored reason, which can include a part of the answer.
const MAX_REASON_CHARACTERS: usize = 300;

/// Result of one confirmation request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmationAnswer {
    Confirmed(String),
    /// The API answered that the object does not exist or is not genuine; final only if repeated.
    Unknown(String),
    /// An unexpected answer, or no answer.
    NotYet {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// The API cannot be queried about this message.
    Unconfirmable(String),
}

impl ConfirmationAnswer {
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self::NotYet { reason: reason.into(), retry_after: None }
    }

    pub fn from_result(result: ConfirmResult, status: u16, retry_after: Option<Duration>) -> Self {
        match result {
            ConfirmResult::Confirmed => Self::Confirmed(format!("answered {status}")),
            ConfirmResult::Unknown(reason) => Self::Unknown(reason),
            ConfirmResult::NotYet(reason) => Self::NotYet { reason, retry_after },
        }
    }
}

/// Returns the result to store. `jitter` is from -1 to 1.
pub fn outcome_of(
    due: &DueConfirmation,
    answer: ConfirmationAnswer,
    now: OffsetDateTime,
    jitter: f64,
) -> ConfirmationOutcome {
    let was_queried = !matches!(answer, ConfirmationAnswer::Unconfirmable(_));
    let tries = due.tries.saturating_add(u32::from(was_queried));
    let unknowns = due.unknowns.saturating_add(u32::from(matches!(answer, ConfirmationAnswer::Unknown(_))));
    let again =
        |reason: String, retry_after: Option<Duration>| match next_try_after(tries, jitter, retry_after) {
            Some(pause) => (Settlement::Again { at: Timestamp::from(now + pause) }, reason),
            None => (Settlement::Refused, format!("{reason}, after {tries} attempts")),
        };
    let (settlement, reason) = match answer {
        ConfirmationAnswer::Confirmed(reason) => (Settlement::Confirmed, reason),
        ConfirmationAnswer::Unconfirmable(reason) => (Settlement::Refused, reason),
        ConfirmationAnswer::Unknown(reason) if unknowns >= UNKNOWN_IS_FINAL_AFTER => {
            (Settlement::Refused, format!("{reason}, {unknowns} times"))
        }
        ConfirmationAnswer::Unknown(reason) => again(reason, None),
        ConfirmationAnswer::NotYet { reason, retry_after } => again(reason, retry_after),
    };
    let reason = reason.chars().take(MAX_REASON_CHARACTERS).collect();
    ConfirmationOutcome { message: due.message, tries, unknowns, reason, settlement }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-25 08:00:00 UTC);

    fn due(tries: u32, unknowns: u32) -> DueConfirmation {
        DueConfirmation { message: 7.into(), source: "pay".to_owned(), tries, unknowns, request: None }
    }

    fn unknown() -> ConfirmationAnswer {
        ConfirmationAnswer::Unknown("answered 404".to_owned())
    }

    fn again(seconds: u64) -> Settlement {
        Settlement::Again { at: Timestamp::from(NOW + Duration::from_secs(seconds)) }
    }

    #[test]
    fn unexpected_answer_is_retried_then_rejected() {
        let pauses = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 86_400];
        for (tries, pause) in (0..).zip(pauses) {
            let outcome = outcome_of(&due(tries, 0), ConfirmationAnswer::not_yet("answered 503"), NOW, 0.0);
            assert_eq!((outcome.tries, outcome.settlement), (tries + 1, again(pause)));
            assert_eq!(outcome.reason, "answered 503");
        }
        let last = outcome_of(&due(11, 0), ConfirmationAnswer::not_yet("answered 503"), NOW, 0.0);
        assert_eq!((last.tries, last.settlement), (12, Settlement::Refused));
        assert_eq!(last.reason, "answered 503, after 12 attempts");
    }

    #[test]
    fn third_not_found_is_final_despite_other_answers() {
        for (tries, unknowns, pause) in [(0, 0, 5), (1, 1, 30), (5, 1, 3_600)] {
            let outcome = outcome_of(&due(tries, unknowns), unknown(), NOW, 0.0);
            assert_eq!((outcome.unknowns, outcome.settlement), (unknowns + 1, again(pause)));
        }
        let third = outcome_of(&due(5, 2), unknown(), NOW, 0.0);
        assert_eq!((third.tries, third.unknowns, third.settlement), (6, 3, Settlement::Refused));
        assert_eq!(third.reason, "answered 404, 3 times");
    }

    #[test]
    fn confirmed_or_unconfirmable_message_is_settled_immediately() {
        let confirmed =
            outcome_of(&due(2, 1), ConfirmationAnswer::Confirmed("answered 200".to_owned()), NOW, 0.0);
        assert_eq!((confirmed.tries, confirmed.settlement), (3, Settlement::Confirmed));
        let unconfirmable = outcome_of(
            &due(0, 0),
            ConfirmationAnswer::Unconfirmable("query field id is missing".to_owned()),
            NOW,
            0.0,
        );
        assert_eq!((unconfirmable.tries, unconfirmable.settlement), (0, Settlement::Refused));
        assert_eq!(unconfirmable.reason, "query field id is missing");
    }

    #[test]
    fn requested_pause_is_limited_to_a_day() {
        let wait = |seconds| ConfirmationAnswer::NotYet {
            reason: "answered 429".to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(outcome_of(&due(0, 0), wait(3_600), NOW, 0.0).settlement, again(3_600));
        assert_eq!(outcome_of(&due(0, 0), wait(1), NOW, 0.0).settlement, again(5));
        assert_eq!(outcome_of(&due(0, 0), wait(u64::MAX), NOW, 0.0).settlement, again(86_400));
    }

    #[test]
    fn reason_is_truncated_for_any_answer() {
        let outcome = outcome_of(&due(0, 0), ConfirmationAnswer::not_yet("é".repeat(10_000)), NOW, 0.0);
        assert_eq!(outcome.reason.chars().count(), MAX_REASON_CHARACTERS);
    }
}
