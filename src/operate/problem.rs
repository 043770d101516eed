//! The catalogue of failed operations: each problem has a code for programs and a sentence for
//! people. A problem must never reveal more than the mistake in the request.

use crate::config;
use crate::outbound::VetError;
use crate::query::QueryError;
use crate::store::random::RandomError;
use crate::store::{
    ConfirmationState, DeliveryId, IngestError, MessageId, RejectionId, ReplayId, TargetError, TargetId,
    Unavailable,
};
use crate::verification::VerificationError;

/// An object that does not exist or was deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingObject {
    #[error("Message {0} not found (it may have been deleted by retention).")]
    Message(MessageId),
    #[error("Delivery {0} not found (it may have been deleted by retention).")]
    Delivery(DeliveryId),
    #[error("Replay {0} not found (it may have been deleted by retention).")]
    Replay(ReplayId),
    #[error("Rejection {0} not found (it may have been deleted by retention).")]
    Rejection(RejectionId),
    /// A target's id or name.
    #[error("Target {} not found (it may have been removed).", config::shown(.0))]
    Target(String),
    #[error("Listener {0} not found (it may have been removed).")]
    Listener(String),
    #[error("Delivery {delivery} is not pending for listener {listener}.")]
    PendingDelivery { delivery: DeliveryId, listener: String },
}

/// Reason why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(transparent)]
    NotFound(#[from] MissingObject),
    /// A well-formed value that is not allowed.
    #[error("{field}: {problem}")]
    InvalidValue { field: &'static str, problem: String },
    /// A mistake in a query.
    #[error("q: {0}")]
    InvalidQuery(#[from] QueryError),
    /// A source, an event or a target that does not occur, with the nearest name.
    #[error(
        "{field}: {} is not known{}. {}",
        config::shown(name), nearest_hint(.nearest.as_deref()), name_advice(field)
    )]
    UnknownName { field: &'static str, name: String, nearest: Option<String> },
    /// A pattern or name that could never match an event.
    #[error("{0}.")]
    UndeclaredEvent(String),
    #[error("url: {0}")]
    MalformedUrl(String),
    #[error("url: {0}")]
    ForbiddenUrl(#[from] VetError),
    #[error(
        "Message {0} was emitted with this idempotency key and differs from this event: use a new key for each event."
    )]
    IdempotencyKeyReused(MessageId),
    /// A target with an owner receives only that owner's events.
    #[error("Target {target} has an owner, and message {message} does not belong to that owner.")]
    OtherOwner { target: String, message: MessageId },
    #[error("Another target has the name {0}: choose another name.")]
    NameTaken(String),
    #[error("There are already {0} targets, which is the limit: remove some.")]
    TooManyTargets(usize),
    #[error(
        "There are already {0} listeners, which is the limit: remove one, or connect with the name of an existing one."
    )]
    TooManyListeners(usize),
    #[error(
        "{0} is declared in the environment: change it there ({variables}), and restart the service.",
        variables = variables(.0)
    )]
    DeclaredTarget(String),
    /// The target of a replay or of a listener.
    #[error("{0} was created for a replay or a listener: it can only be removed.")]
    DependentTarget(String),
    #[error(
        "{0} is a listener, which cannot be paused or resumed: it receives messages while its client is connected."
    )]
    ListenerState(String),
    #[error("{0} is a listener: its messages are not signed.")]
    UnsignedListener(String),
    #[error("Target {0} was removed.")]
    RemovedTarget(String),
    #[error(
        "The secrets of {0} were encrypted with another key: start with that key, or create the target again."
    )]
    SealedSecrets(String),
    #[error(
        "The secrets of {name} were dropped with a lost key, and its deliveries would be unsigned: create a new secret with \
         `POST /api/v1/targets/{id}/secret`, set its headers again, then resume it."
    )]
    LostSecrets { name: String, id: TargetId },
    #[error("The owner of {0} cannot be changed: create another target.")]
    FixedOwner(String),
    /// The message was stored without a confirmation.
    #[error("Message {0} does not need confirmation.")]
    ConfirmationNotNeeded(MessageId),
    #[error("Message {message} is `{state}`, not `refused`.")]
    ConfirmationNotRefused { message: MessageId, state: String },
    #[error(
        "The values for the confirmation request of message {0} are not stored. Send the message again from the provider."
    )]
    ConfirmQueryNotStored(MessageId),
    /// A message that its provider has not confirmed.
    #[error(
        "Message {message} is {state}, and only confirmed messages are delivered. {advice}; `creel show {message}` shows the provider's last answer.",
        advice = confirmation_advice(*message, state)
    )]
    NotConfirmed { message: MessageId, state: String },
    /// The number of messages or rejections differs from the confirmed number.
    #[error("You confirmed {confirmed}, but {count} match now. Count again, then confirm the new number.")]
    CountChanged { confirmed: u64, count: u64 },
    #[error("Counting takes too long: narrow the filter, e.g. with `since` and `until`.")]
    TooBroad,
    #[error(
        "Message {0} has no earlier message of the same source and event (it may have been deleted by retention)."
    )]
    NoPreviousMessage(MessageId),
    #[error(
        "No earlier message of the same source and event was found within 10 s. Pass the id of the message to compare message {0} with."
    )]
    PreviousTooFar(MessageId),
    #[error("Replay {replay} is already {state}.")]
    ReplayNotRunning { replay: ReplayId, state: &'static str },
    /// Steps over many rejections run one at a time.
    #[error("Another step is running: retry later.")]
    StepRunning,
    #[error("The source {0} is no longer configured.")]
    SourceNotConfigured(String),
    #[error("The source {source_name} does not store {method} requests as messages.")]
    MethodWithoutMessage { source_name: String, method: String },
    #[error(
        "The body of this request was not stored: the request was rejected before its body was read, or it is noise with a large body. Ask the sender to send it again."
    )]
    BodyNotKept,
    #[error("This request cannot become a message: it is a handshake.")]
    NoMessage,
    #[error("The service cannot read or write data now: retry later.")]
    Unavailable(#[source] Unavailable),
    /// The memory for decoding bodies is used up.
    #[error("The service cannot read or write data now: retry later.")]
    NoRoom,
    /// The provider's keys or API are unavailable.
    #[error("The provider's keys could not be fetched: retry later.")]
    ProviderUnreachable,
    /// A stored row is damaged and cannot be read.
    #[error(
        "This part of the database is damaged: `creel verify` reports the damage; restore the missing data from a backup."
    )]
    Damaged,
    /// A stored rejection cannot be restored, e.g. after a manual edit.
    #[error("Internal error; the log has the details.")]
    UnreadableRejection,
    #[error("Internal error; the log has the details.")]
    NoRandomNumbers(#[from] RandomError),
    /// A bug in creel.
    #[error("Internal error; the log has the details.")]
    Internal,
}

/// The kind of a problem, which determines the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemClass {
    /// The object does not exist.
    Missing,
    /// The request must be changed.
    Invalid,
    /// The state of the object must change first.
    Conflict,
    /// The same request may succeed later.
    Unavailable,
    /// The operator must fix the cause.
    Internal,
}

impl Problem {
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::InvalidValue { field, problem: problem.into() }
    }

    pub fn no_message(id: MessageId) -> Self {
        MissingObject::Message(id).into()
    }

    pub fn no_target(id_or_name: impl ToString) -> Self {
        MissingObject::Target(id_or_name.to_string()).into()
    }

    /// Adds the target's name to an error of the store.
    pub fn of_target(error: TargetError, name: &str) -> Self {
        let name = name.to_owned();
        match error {
            TargetError::Unavailable(why) => why.into(),
            TargetError::NameTaken | TargetError::DeclaredNameTaken(_) => Self::NameTaken(name),
            TargetError::NotFound => MissingObject::Target(name).into(),
            TargetError::Sealed => Self::SealedSecrets(name),
            TargetError::SecretsLost(id) => Self::LostSecrets { name, id },
            TargetError::OwnerIsFixed => Self::FixedOwner(name),
        }
    }

    /// Returns the machine-readable code, which never changes.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    pub fn class(&self) -> ProblemClass {
        self.row().0
    }

    fn row(&self) -> (ProblemClass, &'static str) {
        use ProblemClass::{Conflict, Internal, Invalid, Missing, Unavailable};
        match self {
            Self::NotFound(_) => (Missing, "not_found"),
            Self::InvalidValue { .. } => (Invalid, "invalid_value"),
            Self::InvalidQuery(_) => (Invalid, "invalid_search"),
            Self::UnknownName { .. } => (Missing, "unknown_name"),
            Self::UndeclaredEvent(_) => (Invalid, "undeclared_event"),
            Self::MalformedUrl(_) | Self::ForbiddenUrl(_) => (Invalid, "url_refused"),
            Self::IdempotencyKeyReused(_) => (Invalid, "idempotency_key_reused"),
            Self::OtherOwner { .. } => (Invalid, "other_owner"),
            Self::TooBroad | Self::PreviousTooFar(_) => (Invalid, "too_broad"),
            Self::NoPreviousMessage(_) => (Missing, "no_previous_message"),
            Self::NameTaken(_) => (Conflict, "name_taken"),
            Self::TooManyTargets(_) => (Conflict, "too_many_targets"),
            Self::TooManyListeners(_) => (Conflict, "too_many_listeners"),
            Self::DeclaredTarget(_)
            | Self::DependentTarget(_)
            | Self::ListenerState(_)
            | Self::UnsignedListener(_)
            | Self::RemovedTarget(_)
            | Self::SealedSecrets(_)
            | Self::LostSecrets { .. }
            | Self::FixedOwner(_)
            | Self::ConfirmationNotNeeded(_)
            | Self::ConfirmationNotRefused { .. }
            | Self::ConfirmQueryNotStored(_) => (Conflict, "not_changeable"),
            Self::NotConfirmed { .. } => (Conflict, "not_confirmed"),
            Self::CountChanged { .. } => (Conflict, "count_changed"),
            Self::ReplayNotRunning { .. } => (Conflict, "not_running"),
            Self::StepRunning => (Conflict, "already_running"),
            Self::SourceNotConfigured(_)
            | Self::MethodWithoutMessage { .. }
            | Self::BodyNotKept
            | Self::NoMessage => (Conflict, "not_releasable"),
            Self::Unavailable(_) | Self::NoRoom => (Unavailable, "unavailable"),
            Self::ProviderUnreachable => (Unavailable, "provider_unreachable"),
            Self::Damaged => (Internal, "damaged"),
            Self::UnreadableRejection | Self::NoRandomNumbers(_) | Self::Internal => {
                (Internal, "internal_error")
            }
        }
    }
}

impl From<Unavailable> for Problem {
    fn from(why: Unavailable) -> Self {
        match why {
            Unavailable::Damaged => Self::Damaged,
            why => Self::Unavailable(why),
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::KeyReused { of } => Self::IdempotencyKeyReused(of),
            error => error.unavailable().into(),
        }
    }
}

impl From<VerificationError> for Problem {
    fn from(error: VerificationError) -> Self {
        match error {
            VerificationError::Unavailable(why) => Self::Unavailable(why),
            VerificationError::NotReached => Self::ProviderUnreachable,
            VerificationError::NoRoom => Self::NoRoom,
            VerificationError::Failed => Self::Internal,
        }
    }
}

fn nearest_hint(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; the nearest is {}", config::shown(name)))
}

fn name_advice(field: &str) -> &'static str {
    match field {
        "source" => "It is not configured, and no message of it was found.",
        "event" => {
            "No provider of a configured source lists it, and no such message was found; a pattern with `*` is always accepted."
        }
        _ => "`creel targets` lists the targets.",
    }
}

/// The variables that declare a target.
fn variables(name: &str) -> String {
    format!("CREEL_TARGET_{}_…", name.to_ascii_uppercase().replace('-', "_"))
}

fn confirmation_advice(message: MessageId, state: &str) -> String {
    if state == ConfirmationState::Refused.name() {
        return format!(
            "If the settings of its source caused the rejection, correct them, then `POST /api/v1/messages/{message}/confirm`"
        );
    }
    "The service is still querying the provider's API".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_name_the_object_and_the_remedy() {
        let state = || "refused".to_owned();
        for (problem, code, parts) in [
            (Problem::no_message(42.into()), "not_found", ["Message 42 not found", "deleted by retention"]),
            (Problem::no_target("a\nb"), "not_found", ["Target ", "may have been removed"]),
            (
                Problem::DeclaredTarget("my-app".to_owned()),
                "not_changeable",
                ["my-app is declared", "(CREEL_TARGET_MY_APP_…)"],
            ),
            (
                Problem::NotConfirmed { message: 7.into(), state: state() },
                "not_confirmed",
                ["Message 7 is ", "POST /api/v1/messages/7/confirm"],
            ),
            (
                Problem::of_target(TargetError::SecretsLost(3.into()), "billing"),
                "not_changeable",
                ["The secrets of billing", "POST /api/v1/targets/3/secret"],
            ),
        ] {
            let detail = problem.to_string();
            assert_eq!(problem.code(), code);
            assert!(parts.iter().all(|part| detail.contains(part)), "{detail}");
        }
    }
}
