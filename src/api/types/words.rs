//! JSON and schemas of the store's enumerations: clients read and write the words that are stored.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub use crate::store::{
    AttemptOutcome, ConfirmationState, ContentType, DeliveryOrdering, DeliveryState, Origin, ReplayState,
    TargetKind, TargetState,
};

/// Implements serde and a schema with a name and a description.
macro_rules! words {
    ($stored:ident, $name:literal, $description:expr) => {
        impl Serialize for $stored {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $stored {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                Self::from_name(&word).ok_or_else(|| D::Error::unknown_variant(&word, Self::WORDS))
            }
        }

        impl PartialSchema for $stored {
            fn schema() -> RefOr<Schema> {
                let words = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some(Self::WORDS.iter().copied()));
                words.description(Some($description)).into()
            }
        }

        impl ToSchema for $stored {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    };
}

words!(
    DeliveryState,
    "DeliveryState",
    "State of a delivery; `replayed`: it was dead, and a newer delivery has replaced it."
);
words!(
    AttemptOutcome,
    "AttemptOutcome",
    "Outcome of an attempt; `gone`: the target returned 410 and was disabled."
);
words!(TargetKind, "TargetKind", "Kind of a target.");
words!(Origin, "Origin", "Origin of a target.");
words!(
    TargetState,
    "TargetState",
    "State of a target. Deliveries to a paused or disabled target stay pending, and\nbecome dead after a week."
);
words!(
    DeliveryOrdering,
    "Order",
    "`strict`: each delivery starts only after the previous one is delivered or dead."
);
words!(
    ContentType,
    "ContentType",
    "Conversion of the body; default: as received, or JSON for emitted events."
);
words!(ReplayState, "ReplayState", "State of a replay.");
words!(ConfirmationState, "ConfirmationState", "Result of the query to the provider's API about a message.");
