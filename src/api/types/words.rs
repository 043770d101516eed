//! JSON and schemas of the store's enumerations: clients read and write the words that are stored.
//! Requests accept only known words; readers of replies preserve the unknown words of a newer
//! service.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
#[cfg(test)]
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

pub use crate::store::{
    AttemptOutcome, ConfirmationState, ContentType, DeliveryOrdering, DeliveryState, Origin, ReplayState,
    TargetKind, TargetState,
};

/// A word in a reply. A newer service may send words that this version does not define. The schema
/// of such a field is that of the known words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word<T> {
    Known(T),
    Unknown(String),
}

/// The value of an absent field.
impl<T> Default for Word<T> {
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<T: fmt::Display> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(word) => word.fmt(f),
            Self::Unknown(word) => f.write_str(word),
        }
    }
}

/// Implements serde and a schema with a name and a description.
macro_rules! word_schema {
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

        #[cfg(test)]
        impl utoipa::PartialSchema for $stored {
            fn schema() -> utoipa::openapi::RefOr<Schema> {
                let words = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some(Self::WORDS.iter().copied()));
                words.description(Some($description)).into()
            }
        }

        #[cfg(test)]
        impl utoipa::ToSchema for $stored {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    };
}

word_schema!(
    DeliveryState,
    "DeliveryState",
    "State of a delivery; `replayed`: it was dead, and a newer delivery has replaced it."
);
word_schema!(
    AttemptOutcome,
    "AttemptOutcome",
    "Outcome of an attempt; `gone`: the target returned 410 and was disabled."
);
word_schema!(TargetKind, "TargetKind", "Kind of a target.");
word_schema!(Origin, "Origin", "Origin of a target.");
word_schema!(
    TargetState,
    "TargetState",
    "State of a target. Deliveries to a paused or disabled target stay pending. After a week\nin this state, deliveries older than a week become dead."
);
word_schema!(
    DeliveryOrdering,
    "Order",
    "`strict`: each delivery starts only after the previous one is delivered or dead."
);
word_schema!(
    ContentType,
    "ContentType",
    "Conversion of the body; default: as received, or JSON for emitted events."
);
word_schema!(ReplayState, "ReplayState", "State of a replay.");
word_schema!(
    ConfirmationState,
    "ConfirmationState",
    "Result of the query to the provider's API about a message."
);
