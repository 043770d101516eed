//! The work of the indexer on one file.

mod backfill;
mod state;
mod step;
mod upkeep;

pub use state::{IDLE_PAUSE, IndexerParts, Session};
pub use step::{StepOutcome, UNREADABLE};
