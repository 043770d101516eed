//! The search index: the words of messages, in a separate file next to the database
//! (`creel.db.search`). It is a cache: it can be deleted at any time, no acknowledgement waits for
//! it, and it proposes candidates that the search then examines.
//!
//! Messages are indexed in *generations*, each an FTS5 table for a range of ids, which is dropped
//! as a whole. Ranges without a generation, such as the newest messages, are searched by reading
//! them. One thread of the lowest priority writes the file. It never reads the database itself: a
//! thread of normal priority (`feed`) does, so that no reader is suspended while it holds back the
//! reset of the WAL.

mod expression;
mod feed;
mod file;
mod generation;
mod indexer;
mod pressure;
mod rows;
mod search_index;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod view;

pub use expression::MatchExpression;
pub use file::remove;
pub use indexer::Indexer;
pub use pressure::Pressure;
pub use search_index::{IndexState, SearchIndex};
pub use session::IndexerParts;
pub use status::{IndexStats, IndexStatus};
pub use view::{IndexSegment, IndexView};
