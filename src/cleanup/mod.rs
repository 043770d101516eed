//! The clean-up: drops old messages, deliveries, keys and rejections in short steps between the messages, and gives the
//! space back. It must never delete on the word of a clock that has jumped, nor a message that something still waits for.

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

pub use cleaner::{Cleaner, CleanupOutcome, CleanupPace};
pub use clock::{ClockGuard, ClockVerdict, uptime};
pub use drops::DeliveryDropReport;
pub use policy::Policy;
pub use run_now::run_now;
