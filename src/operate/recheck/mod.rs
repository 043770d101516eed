//! Re-verification and release of one or many rejections, with the current secrets and the time of
//! arrival.

mod cursor;
mod one;
mod restored;
mod step;

pub use one::RecheckOutcome;
pub use restored::RestoredRequest;
pub use step::{BulkAction, RejectionCount, RejectionStep, StepReport, StepRequest};
