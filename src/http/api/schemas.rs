//! Schemas that several parameters and fields share. They say exactly what is taken, so that whoever keeps to them is
//! not refused for the form of a value.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// What `input::name` takes.
pub fn name() -> Object {
    text("^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$", "github")
}

/// A pattern of events.
pub fn pattern() -> Object {
    text("^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$", "github.*")
}

/// Some of what `input::time` takes: it also knows fractions, offsets, and the last days of a month.
pub fn time() -> Object {
    let duration = "[1-9][0-9]{0,3}[smhd]";
    let date = "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
    let time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
    text(&format!("^({duration}|{date}T{time}Z)$"), "2h")
}

fn text(pattern: &str, example: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example]).build()
}
