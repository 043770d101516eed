//! The words that stand for a state or a kind, as clients read and write them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store;

/// An enumeration of the API beside the store's of the same words.
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

        impl From<$name> for $stored {
            fn from(word: $name) -> Self {
                use $stored as Stored;
                match word { $($name::$variant => Stored::$variant),+ }
            }
        }
    };
}

words!(
    /// State of a delivery; `replayed`: it was dead, and a newer delivery has taken its place.
    DeliveryState, store::DeliveryState { Pending, Delivered, Dead, Replayed }
);
words!(
    /// How an attempt ended; `gone`: the target answered 410 and was disabled.
    AttemptOutcome, store::AttemptOutcome { Delivered, Failed, Gone }
);
words!(
    /// What a target is.
    TargetKind, store::TargetKind { Http, Command, Listener }
);
words!(
    /// Who made a target.
    Origin, store::Origin { Environment, Api, Replay, Listener }
);
words!(
    /// Whether a target is served. Deliveries to one that is paused or disabled wait, and die after a week.
    TargetState, store::TargetState { Active, Paused, Disabled, Removed }
);
words!(
    /// `strict`: a delivery waits until the one before it is delivered or dead.
    Order, store::DeliveryOrdering { Any, Strict }
);
words!(
    /// What a body is turned into; without one it is sent as it was received, or as JSON where it was emitted.
    ContentType, store::ContentType { Json, Form }
);
words!(
    /// Whether a replay goes on.
    ReplayState, store::ReplayState { Running, Done, Cancelled }
);
words!(
    /// What the provider's API has said about a message.
    ConfirmationState, store::ConfirmationState { Awaiting, Confirmed, Refused }
);
