//! States of deliveries and outcomes of attempts, as stored in columns.

use crate::store::text_enum::words;

words!(
    /// State of a delivery. `Replayed`: failed, but settled by another delivery of the message to
    /// the target, see `delivery::dead`.
    DeliveryState { Pending = "pending", Delivered = "delivered", Dead = "dead", Replayed = "replayed" }
);
words!(
    /// Outcome of an attempt.
    AttemptOutcome { Delivered = "delivered", Failed = "failed", Gone = "gone" }
);
