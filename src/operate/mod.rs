//! Operations of an operator: select, compare and replay messages, re-verify and release
//! rejections, change targets, open listeners, emit events,
//! report counts and a forecast. The admin API calls these functions.
//! Their parameters and results are neither HTTP nor JSON types, and each problem has a code and a
//! sentence. The API reads lists directly from the store.

mod cause;
mod comparison;
mod confirmation;
mod destination;
pub mod diff;
mod emission;
mod explanation;
mod forecast;
mod listeners;
mod names;
mod objects;
mod operator;
mod problem;
mod recheck;
mod replay;
mod selection;
mod stats;
mod storage_rules;
mod targets;
mod values;

pub use cause::{UNKNOWN_CAUSE, cause_of, explanation};
pub use comparison::{ComparedMessages, OtherMessage};
pub use destination::ReplayDestination;
pub use emission::{EmissionReceipt, Event};
pub use explanation::{AddressReport, ExplainedRejection, Hop, HopRole};
pub use forecast::{Forecast, StorageLimit};
pub use listeners::ListenerAcknowledgement;
pub use operator::Operator;
pub use problem::{Problem, ProblemClass};
pub use recheck::{BulkAction, RecheckOutcome, RejectionCount, RejectionStep, StepReport, StepRequest};
pub use replay::{DeadLetterSummary, ReplayEstimation, ReplayOrder, ReplayResult, ReplaySelection};
pub use selection::{MessageCriteria, RejectionCriteria};
pub use stats::{CountedTime, StatsCriteria};
pub use storage_rules::StorageRules;
pub use targets::{IssuedSecret, IssuedTarget, TargetChange, TargetRequest};
