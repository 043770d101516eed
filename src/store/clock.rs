//! The wall clock.

use time::OffsetDateTime;

/// Function that returns the current time. It is passed as a parameter, so that tests can set the
/// time.
pub type Clock = fn() -> OffsetDateTime;
