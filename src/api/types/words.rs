//! The words for states and kinds, as clients read and write them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store;

/// Defines an API enumeration with the same words as the store's.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $stored:path { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl From<$stored> for $name {
            fn from(stored: $stored) -> Self {
                use $stored as Stored;
                match stored { $(Stored::$variant => Self::$variant),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(<$stored>::from(*self).name())
            }
        }

        impl From<$name> for $stored {
            fn from(word: $name) -> Self {
                use $stored as Stored;
                match word { $($name::$variant => Stored::$variant),+ }
            }
        }
    };
}

words!(
    /// State of a delivery; `replayed`: it was dead, and a newer delivery has replaced it.
    DeliveryState, store::DeliveryState { Pending, Delivered, Dead, Replayed }
);
words!(
    /// Outcome of an attempt; `gone`: the target returned 410 and was disabled.
    AttemptOutcome, store::AttemptOutcome { Delivered, Failed, Gone }
);
words!(
    /// Kind of a target.
    TargetKind, store::TargetKind { Http, Command, Listener }
);
words!(
    /// The creator of a target.
    Origin, store::Origin { Environment, Api, Replay, Listener }
);
words!(
    /// Service state of a target. Deliveries to a paused or disabled target stay pending, and
    /// become dead after a week.
    TargetState, store::TargetState { Active, Paused, Disabled, Removed }
);
words!(
    /// `strict`: each delivery starts only after the previous one is delivered or dead.
    Order, store::DeliveryOrdering { Any, Strict }
);
words!(
    /// Conversion of the body; default: as received, or JSON for emitted events.
    ContentType, store::ContentType { Json, Form }
);
words!(
    /// State of a replay.
    ReplayState, store::ReplayState { Running, Done, Cancelled }
);
words!(
    /// Result of the query to the provider's API about a message.
    ConfirmationState, store::ConfirmationState { Awaiting, Confirmed, Refused }
);
