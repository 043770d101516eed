//! Errors of the store.

use crate::store::id::MessageId;

/// Reason why the store rejected a message, another change or a read; senders of webhooks receive
/// 503 with `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("the queue of the writer is full")]
    QueueFull,
    #[error("free disk space is below CREEL_MIN_FREE")]
    DiskLow,
    #[error("the disk is full")]
    DiskFull,
    #[error("not written within the deadline")]
    Deadline,
    #[error("a file of the database was moved, replaced or truncated")]
    FileChanged,
    #[error("the store has failed")]
    Failed,
    #[error("the message could not be stored")]
    Refused,
    #[error("the source has reached its limit on unconfirmed messages")]
    TooManyAwaiting,
    #[error(
        "the database is above CREEL_MAX_DATABASE_SIZE, and pending deliveries or confirmations retain its messages"
    )]
    DatabaseFull,
    #[error("a part of the database is damaged: run `creel verify` to list the damage")]
    Damaged,
}

impl Unavailable {
    /// Returns the name for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::DiskLow => "disk_low",
            Self::DiskFull => "disk_full",
            Self::Deadline => "deadline",
            Self::FileChanged => "file_changed",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::TooManyAwaiting => "too_many_awaiting",
            Self::DatabaseFull => "database_full",
            Self::Damaged => "damaged",
        }
    }
}

/// Reason why a message was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("the idempotency key was used with another body for message {of}")]
    KeyReused { of: MessageId },
    #[error("the rejection does not exist or was deleted")]
    RejectionGone,
}

impl IngestError {
    /// Converts the error for callers that use neither idempotency keys nor rejections.
    pub fn unavailable(self) -> Unavailable {
        match self {
            Self::Unavailable(why) => why,
            Self::KeyReused { .. } | Self::RejectionGone => Unavailable::Refused,
        }
    }
}

/// Reason why the writer rolled back a change.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// The change is not allowed in the state of the database.
    #[error(transparent)]
    Rejected(E),
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

impl<E> ChangeError<E> {
    /// Converts the reason why the change is not allowed.
    pub fn map<F>(self, convert: impl FnOnce(E) -> F) -> ChangeError<F> {
        match self {
            Self::Rejected(why) => ChangeError::Rejected(convert(why)),
            Self::Database(error) => ChangeError::Database(error),
        }
    }
}

/// Reason why the store cannot be opened, with the remedy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);
