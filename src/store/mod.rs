//! The database, which is a single SQLite file. No other module uses rusqlite or r2d2.
//!
//! While the service runs, all its changes go through one writer thread (`writer/`), which commits
//! many queued jobs in one transaction; reads go through a pool of read-only connections. Messages
//! must never be acknowledged before they are synced to disk.

mod checkpoint;
mod checkpoint_signal;
mod clock;
mod confirmation;
mod connection;
mod continuity;
mod counts;
mod damage;
mod delivery;
mod error;
mod files;
mod handle;
pub mod headers;
mod id;
mod index;
mod instances;
mod integrity;
mod keys;
mod listener;
mod message;
mod offline;
mod open;
mod options;
mod quarantine;
pub mod random;
mod replay;
mod rescue;
mod schema;
mod seal;
mod setting;
mod shared;
mod space;
mod stats;
mod stored_time;
mod target;
#[cfg(test)]
pub mod test_support;
#[cfg(test)]
mod tests;
mod text_enum;
mod time_text;
mod timestamp;
mod wal_size;
mod walk;
mod writer;

pub use clock::Clock;
pub use confirmation::{
    ConfirmationOutcome, ConfirmationState, DueConfirmation, Settlement, StoredConfirmation,
};
pub use counts::UNKNOWN_EVENT;
pub use counts::period::CountMinute;
pub use counts::read::{
    CountGrouping, CountQuery, CountReport, CountSeries, MAX_BUCKETS, SourceTraffic, TrafficWindows,
};
pub use counts::traffic::TrafficCount;
pub use delivery::counts::DeliveryCounts;
pub use delivery::dead::DeadLetterCount;
pub use delivery::due::{DueDelivery, DuePage, DueQuery};
pub use delivery::expire::DiscardRequest;
pub use delivery::outcome::{AttemptRecord, Disposition};
pub use delivery::read::{DeliveryFilter, MAX_DELIVERY_WAIT, StoredAttempt, StoredDelivery};
pub use delivery::state::{AttemptOutcome, DeliveryState};
pub use error::{IngestError, OpenError, Unavailable};
pub use files::free_bytes;
pub use files::modes::loose_modes;
pub use handle::cleanup::Cleanup;
pub use handle::counts::Counts;
pub use handle::delivery_queue::DeliveryQueue;
pub use handle::store::Store;
pub use id::{DeliveryId, MessageId, RejectionId, ReplayId, TargetId};
pub use index::IndexState;
pub use instances::Instances;
pub use integrity::verify;
pub use listener::{
    DeliveryAcknowledgement, LATE_MESSAGE_TIMEOUT, ListenerAnswer, ListenerError, ListenerSession,
    MAX_LISTENERS, StoredListener,
};
pub use message::content::{MessageContent, UnreadableReason};
pub use message::expire::{
    ExpiryCandidate, ExpirySelection, RetainedSince, RetentionRule, SourceSelection, YieldingTargets,
};
pub use message::filter::{Direction, MessageFilter};
pub use message::insert::{LARGE_BYTES, Receipt};
pub use message::names::NameSample;
pub use message::new::{ConfirmationRequest, Identity, NewMessage};
pub use message::read::{MessageRow, StoredMessage, query_without_content};
pub use offline::{IdleTarget, idle_targets_offline, is_in_use, secret_offline, write_setting_offline};
pub use open::Consent;
pub use options::{SearchOptions, StoreOptions};
pub use quarantine::read::{
    RejectionFilter, RejectionPosition, RejectionRow, SourceNumbers, StoredRejection,
};
pub use quarantine::rejection::{NewRejection, RejectionKind};
pub use quarantine::search::{MatchCount, RejectionSearch};
pub use replay::count::ReplayScope;
pub use replay::{NewReplay, ReplayState, ReplayStep, StoredReplay};
pub use seal::key::key_problem;
pub use setting::Sealing;
pub use shared::BatchObserver;
pub use stats::Stats;
pub use target::expire::InactiveTarget;
pub use target::read::TargetNumbers;
pub use target::settings::{
    ContentType, DeliveryOrdering, DeliveryRate, Origin, StoredSecret, StoredTarget, TargetDraft,
    TargetError, TargetKind, TargetSecrets, TargetSettings, TargetState,
};
pub use target::subscription::{EMITTED, Filter, Pattern, PayloadCondition};
pub use timestamp::Timestamp;
pub use walk::{StepResult, TimePosition};
pub use writer::job::Memory;
