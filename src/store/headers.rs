//! The header fields of a message as they are stored: a JSON object, name to value, or to values where one is repeated.

use serde_json::{Map, Value};

/// Stands for a value that must not be stored.
pub const REDACTED: &str = "[redacted]";

/// The fields that can be sent on: without what was redacted, and without what could end the line of a header.
pub fn fields(stored: &Map<String, Value>) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::with_capacity(stored.len());
    for (name, value) in stored {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        let kept = values.iter().filter_map(Value::as_str).filter(|text| *text != REDACTED);
        fields.extend(kept.map(|text| (name.clone(), visible(text).into_bytes())));
    }
    fields
}

/// As the value of a header.
pub fn visible(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}
