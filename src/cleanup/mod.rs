//! The cleanup: deletes old messages, deliveries, keys and rejections in short steps between ingest
//! batches, and returns the space. It must never delete based on a clock that has jumped, nor
//! delete a message that a pending delivery or confirmation still needs. Exception: if space is
//! short, pending deliveries to expendable targets do not retain messages.

mod cleaner;
mod clock;
mod deliveries;
mod drops;
mod guard;
mod messages;
mod policy;
mod quarantine;
mod run_now;
mod size;
mod size_walk;
mod targets;
#[cfg(test)]
mod tests;

pub use cleaner::{Cleaner, CleanupPace};
pub use clock::uptime;
pub use drops::DeliveryDropReport;
pub use policy::Policy;
pub use run_now::run_now;
