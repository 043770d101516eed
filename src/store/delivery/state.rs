//! States of deliveries and outcomes of attempts, as stored in columns.

use crate::store::text_enum::words;

words!(
    /// State of a delivery. A dead one that was replayed is settled by the newer delivery.
    DeliveryState { Pending = "pending", Delivered = "delivered", Dead = "dead", Replayed = "replayed" }
);
words!(
    /// Outcome of an attempt.
    AttemptOutcome { Delivered = "delivered", Failed = "failed", Gone = "gone" }
);
