//! The difference of two messages, as pure functions: no I/O and no clock. JSON is compared as a
//! tree: objects by key, lists by alignment, long texts by words, numbers as written. Limits on
//! bytes, values, words and lines bound the work; a comparison beyond them is coarser. Its result
//! has the reason, except for the limit on words: texts above it have no parts.

mod alignment;
mod body;
mod changes;
mod delta;
mod lines;
mod message;
mod noise;
mod numbered;
#[cfg(test)]
mod tests;
mod words;

pub use body::{BodyDelta, ComparedBody, ComparisonLimitation, ComparisonMethod, compare_bodies};
pub use changes::{Change, ChangeKind, LineChange};
pub use message::{FieldDelta, HeaderDelta, MessageDelta, compare_messages};
pub use words::TextSide;
