//! Schemas that several parameters and fields share. They say exactly what is taken, so that whoever keeps to them is
//! not refused for the form of a value.

use utoipa::openapi::schema::{
    Array, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};

/// What `input::name` takes.
pub fn name() -> Object {
    text("^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$", "github")
}

/// An owner: as a name, without white space around it.
pub fn owner() -> Object {
    let inner = "[^\\u0000-\\u001f\\u007f-\\u009f]";
    let edge = "[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
    text(&format!("^{edge}({inner}{{0,198}}{edge})?$"), "customer-17")
}

/// Patterns of events that a target subscribes to.
pub fn patterns() -> Array {
    let pattern = text("^[^\\u0000-\\u001f\\u007f-\\u009f]{1,300}$", "github.*");
    ArrayBuilder::new().items(pattern).min_items(Some(1)).max_items(Some(100)).build()
}

/// A pattern of events.
pub fn pattern() -> Object {
    text("^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$", "github.*")
}

/// What `stream::patterns` takes, but for their number.
pub fn pattern_list() -> Object {
    let word = "[^\\u0000-\\u0020\\u007f-\\u00a0]{1,200}";
    text(&format!("^{word}( {word}){{0,7}}$"), "github.* *.paid")
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

/// Some ids.
pub fn ids() -> Array {
    let id = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    ArrayBuilder::new().items(id).min_items(Some(1)).max_items(Some(1_000)).build()
}

/// A target by its id or its name.
pub fn target() -> Schema {
    let id = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let name = text("^[a-z0-9-]{1,64}$", "billing");
    let either = OneOfBuilder::new().item(id).item(name);
    Schema::OneOf(either.description(Some("A target by its id or its name.")).build())
}

/// Headers that are sent with every request.
pub fn headers() -> Object {
    headers_builder().schema_type(Type::Object).build()
}

/// The same, or null to send none.
pub fn headers_or_null() -> Object {
    headers_builder().schema_type(SchemaType::from_iter([Type::Object, Type::Null])).build()
}

fn headers_builder() -> ObjectBuilder {
    let value = text("^[!-~]([ -~]*[!-~])?$", "Bearer …");
    ObjectBuilder::new()
        .additional_properties(Some(Schema::Object(value)))
        .max_properties(Some(50))
        .description(Some("Sent with every request; the values are never shown again."))
        .examples([serde_json::json!({"Authorization": "Bearer …"})])
}
