//! Re-verification and release of rejections, one or many: with the current secrets, and the clock
//! at arrival.

mod cursor;
mod one;
mod restored;
mod step;

pub use one::RecheckOutcome;
pub use step::{BulkAction, RejectionCount, RejectionStep, StepReport, StepRequest};
