//! Schemas shared by parameters and fields. They accept only values whose form the handlers accept.
//! In bodies, null is the same as an omitted field.

use utoipa::openapi::schema::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType,
    Type,
};

/// The values that `operate::values::name` accepts.
const NAME: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$";

/// A name, event or owner to search for.
pub fn name() -> Object {
    text(NAME, "github").build()
}

pub fn name_or_null() -> Object {
    or_null(text(NAME, "github"), Type::String)
}

/// An event pattern.
pub fn pattern() -> Object {
    text(NAME, "github.*").build()
}

pub fn pattern_or_null() -> Object {
    or_null(text(NAME, "github.*"), Type::String)
}

/// A query. The grammar cannot be described by a pattern, and most texts are valid queries.
pub fn query() -> Object {
    query_text().build()
}

pub fn query_or_null() -> Object {
    or_null(query_text(), Type::String)
}

fn query_text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(1_000)).examples(["is:dead"])
}

/// A list of event patterns, in the form that `Operator::patterns` accepts, but with at most 8 of
/// them.
pub fn pattern_list() -> Object {
    let word = "[^\\u0000-\\u0020\\u007f-\\u00a0]{1,200}";
    text(&format!("^{word}( {word}){{0,7}}$"), "github.* *.paid").build()
}

/// A subset of the values that `operate::values::time` accepts: without offsets and the last days
/// of a month.
pub fn time() -> Object {
    text(&time_pattern(), "2h").build()
}

pub fn time_or_null() -> Object {
    or_null(text(&time_pattern(), "2h"), Type::String)
}

fn time_pattern() -> String {
    let duration = "[1-9][0-9]{0,3}[smhd]";
    let date = "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
    let time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
    format!("^({duration}|{date}T{time}(\\.[0-9]{{1,6}})?Z)$")
}

/// The length of a bucket: a subset of the values that `operate::stats` accepts.
pub fn step() -> Object {
    let minutes = "([1-6]|10|12|15|20|30|60)m";
    text(&format!("^({minutes}|([123468]|12|24)h|[1-9][0-9]{{0,2}}d)$"), "1h").build()
}

/// An owner: a name without surrounding white space.
pub fn owner_or_null() -> Object {
    let inner = "[^\\u0000-\\u001f\\u007f-\\u009f]";
    let edge = "[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
    or_null(text(&format!("^{edge}({inner}{{0,198}}{edge})?$"), "customer-17"), Type::String)
}

/// Event patterns of a target.
pub fn patterns() -> Array {
    patterns_builder().build()
}

pub fn patterns_or_null() -> Array {
    patterns_builder().schema_type(SchemaType::from_iter([Type::Array, Type::Null])).build()
}

fn patterns_builder() -> ArrayBuilder {
    let pattern = text("^[^\\u0000-\\u001f\\u007f-\\u009f]{1,300}$", "github.*").build();
    ArrayBuilder::new().items(pattern).min_items(Some(1)).max_items(Some(100))
}

fn id() -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(format)).minimum(Some(1)).examples([1])
}

/// A list of ids.
pub fn ids_or_null() -> Array {
    let ids = ArrayBuilder::new().items(id()).min_items(Some(1)).max_items(Some(1_000));
    ids.schema_type(SchemaType::from_iter([Type::Array, Type::Null])).build()
}

/// A target id or name.
pub fn target_or_null() -> Schema {
    let name = text("^[a-z0-9-]{1,64}$", "billing");
    let nothing = ObjectBuilder::new().schema_type(Type::Null);
    let either = OneOfBuilder::new().item(id()).item(name).item(nothing);
    Schema::OneOf(either.description(Some("A target by its id or its name.")).build())
}

/// Headers sent with every request.
pub fn headers_or_null() -> Object {
    let value = text("^[!-~]([ -~]*[!-~])?$", "Bearer …").build();
    let name = ObjectBuilder::new().pattern(Some("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")).build();
    let headers = ObjectBuilder::new()
        .property_names(Some(Schema::Object(name)))
        .additional_properties(Some(Schema::Object(value)))
        .max_properties(Some(50))
        .examples([serde_json::json!({"Authorization": "Bearer …"})]);
    or_null(headers, Type::Object)
}

fn text(pattern: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example])
}

fn or_null(schema: ObjectBuilder, kind: Type) -> Object {
    schema.schema_type(SchemaType::from_iter([kind, Type::Null])).build()
}
