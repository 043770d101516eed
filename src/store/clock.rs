//! The wall clock.

use time::OffsetDateTime;

/// Returns the current time. Passed in, so that tests can set it.
pub type Clock = fn() -> OffsetDateTime;
