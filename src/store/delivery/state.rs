//! The states of deliveries and the outcomes of attempts, as columns hold them.

use crate::store::text_enum::words;

words!(
    /// State of a delivery. A dead one that was replayed is settled by the newer delivery.
    DeliveryState { Pending = "pending", Delivered = "delivered", Dead = "dead", Replayed = "replayed" }
);
words!(
    /// How an attempt ended.
    AttemptOutcome { Delivered = "delivered", Failed = "failed", Gone = "gone" }
);
