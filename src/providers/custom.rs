//! Senders configured by variables, one for each field of a recipe.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::scheme::encoding::{Encoding, KeyEncoding};
use crate::scheme::freshness::TimestampUnit;
use crate::scheme::key::Algorithm;

use super::file::{
    DIGEST_WITHOUT_SECRET, FieldProblem, KeyField, KeyKind, KeySourceTable, KeyTable, MISSING_TIMESTAMP,
    OneOrMany, RecipeError, RecipeFile, SignatureTable, TimestampTable, TokenTable, UNSIGNED_TIMESTAMP,
    problem,
};
use super::recipe::Recipe;

/// A field of a recipe that a variable can set.
#[derive(Debug)]
pub struct CustomField {
    /// The name of the field in a recipe's file.
    pub name: &'static str,
    pub doc: &'static str,
}

/// The fields, in the order of a typical setup.
pub const CUSTOM_FIELDS: &[CustomField] = &[
    CustomField {
        name: "signature.at",
        doc: "the place of the signature: `header X-Signature`, `query sig`, `json a.b`, `form f`",
    },
    CustomField {
        name: "signature.layout",
        doc: "the format of the value, by example: `sha256={signature}`, `t={ts},v1={signature}` (default `{signature}`)",
    },
    CustomField { name: "signature.encoding", doc: "`hex` (default), `base64` or `base64url`" },
    CustomField {
        name: "signature.algorithm",
        doc: "`hmac-sha256` (default), `hmac-sha1`, `hmac-sha512`, `ed25519`, `rsa-sha256` and others",
    },
    CustomField {
        name: "signature.text",
        doc: "the signed text: `{body}` (default), `{ts}.{body}`, `{url}{body}` and so on",
    },
    CustomField {
        name: "signature.key.encoding",
        doc: "the encoding of the secret: `text` (default), `base64` or `hex`",
    },
    CustomField {
        name: "signature.key.prefix",
        doc: "a prefix that is removed from the secret, such as `whsec_`",
    },
    CustomField {
        name: "timestamp.at",
        doc: "the place of the signed timestamp: `header X-Timestamp`, `layout ts`, `json a.b`",
    },
    CustomField {
        name: "timestamp.unit",
        doc: "`s` (default), `ms`, `s-or-ms`, `rfc3339`, `any` (one of those, recognized by its form) or `http-date`",
    },
    CustomField { name: "token.at", doc: "the place of a shared token, instead of a signature" },
    CustomField {
        name: "token.scheme",
        doc: "the text before the token: `Bearer` (case-insensitive, followed by spaces) or `token=` (exact)",
    },
    CustomField { name: "event_type", doc: "the place of the event type: `header X-Event`, `json type`" },
    CustomField {
        name: "event_action",
        doc: "the place of the action, which is appended to the type after a dot",
    },
    CustomField { name: "delivery_id", doc: "the place of the delivery id" },
    CustomField { name: "form_payload", doc: "the form field that contains the JSON" },
];

/// Returns the end of a field's variable: `signature.key.encoding` → `SIGNATURE_KEY_ENCODING`.
pub fn custom_variable(field: &str) -> String {
    field.replace('.', "_").to_ascii_uppercase()
}

/// Fields that have no effect without another one: (field, required field).
const DEPENDENT_FIELDS: [(&str, &str); 9] = [
    ("signature.layout", "signature.at"),
    ("signature.encoding", "signature.at"),
    ("signature.algorithm", "signature.at"),
    ("signature.text", "signature.at"),
    ("signature.key.encoding", "signature.at"),
    ("signature.key.prefix", "signature.at"),
    ("timestamp.unit", "timestamp.at"),
    ("token.scheme", "token.at"),
    ("event_action", "event_type"),
];

/// Builds the recipe that the given fields describe. It is never freed.
///
/// # Errors
/// The first invalid field. `variable` returns the variable of a field, for the text of the error.
pub fn custom_recipe(
    source: &str,
    given: impl Fn(&str) -> Option<String>,
    variable: impl Fn(&str) -> String,
) -> Result<&'static Recipe, RecipeError> {
    let file = file(&given, &variable);
    let recipe = file
        .map_err(|FieldProblem(field, problem)| RecipeError { recipe: source.to_owned(), field, problem })
        .and_then(|file| Recipe::from_file(source, file))
        .map_err(|error| in_variables(error, &variable))?;
    Ok(Box::leak(Box::new(recipe)))
}

/// Rejects fields that would have no effect: the user expects them to have one.
fn reject_unused_fields(
    given: &impl Fn(&str) -> Option<String>,
    variable: &impl Fn(&str) -> String,
) -> Result<(), FieldProblem> {
    let is_token = given("token.at").is_some() && given("signature.at").is_none();
    if is_token && given("timestamp.at").is_some() {
        let token = variable("token.at");
        return Err(problem(
            "timestamp.at",
            format!(
                "has no effect next to {token}: only signatures cover a timestamp; remove one of the two"
            ),
        ));
    }
    for (field, needed) in DEPENDENT_FIELDS {
        if given(field).is_none() || given(needed).is_some() {
            continue;
        }
        let needed_variable = variable(needed);
        let text = match needed {
            "signature.at" if is_token => {
                format!(
                    "has no effect next to {}; remove it, or set {needed_variable} instead",
                    variable("token.at")
                )
            }
            // Neither a signature nor a token is set, for which `file` returns a more helpful
            // error.
            "signature.at" => continue,
            _ => format!("has no effect without {needed_variable}; set that too, or remove it"),
        };
        return Err(problem(field, text));
    }
    Ok(())
}

/// Rewrites problems that name fields of a recipe, so that they name variables.
fn in_variables(error: RecipeError, variable: &impl Fn(&str) -> String) -> RecipeError {
    let (field, problem) = match error.problem.as_str() {
        MISSING_TIMESTAMP => {
            let at = variable("timestamp.at");
            ("signature.text", format!("has `{{ts}}`, but the place of the timestamp is unknown; set {at}"))
        }
        UNSIGNED_TIMESTAMP => {
            let at = variable("timestamp.at");
            (
                "signature.text",
                format!("does not cover the timestamp of {at}; put `{{ts}}` into it, or remove {at}"),
            )
        }
        DIGEST_WITHOUT_SECRET => {
            let text = variable("signature.text");
            let problem =
                "is a digest without a key, so anyone can compute it: use e.g. `hmac-sha256`, or put";
            ("signature.algorithm", format!("{problem} `{{secret}}` into {text}"))
        }
        _ => return error,
    };
    RecipeError { field: field.to_owned(), problem, ..error }
}

fn file(
    given: &impl Fn(&str) -> Option<String>,
    variable: &impl Fn(&str) -> String,
) -> Result<RecipeFile, FieldProblem> {
    reject_unused_fields(given, variable)?;
    let places = |field: &str| given(field).map(OneOrMany::One);
    let mut file = RecipeFile {
        title: "your own sender".to_owned(),
        event_type: places("event_type"),
        event_action: places("event_action"),
        delivery_id: places("delivery_id"),
        form_payload: given("form_payload"),
        ..RecipeFile::default()
    };
    let setting = match (given("signature.at"), given("token.at")) {
        (Some(at), None) => signature(&mut file, at, given)?,
        (None, Some(at)) => {
            let scheme = given("token.scheme").unwrap_or_default();
            file.token.push(TokenTable { at, scheme, key: "secret".to_owned(), optional: false });
            "secret"
        }
        (Some(_), Some(_)) => {
            let signature = variable("signature.at");
            return Err(problem("token.at", format!("is set next to {signature}; keep one of the two")));
        }
        (None, None) => {
            return Err(problem(
                "signature.at",
                format!(
                    "is missing: set it to the place of the signature, such as `header X-Signature`, or set {}",
                    variable("token.at")
                ),
            ));
        }
    };
    let proof = |name: &str, kind, required| KeyTable {
        begins_with: Vec::new(),
        rotates: false,
        name: name.to_owned(),
        kind,
        required,
        default: None,
        doc: "the secret shared with the sender".to_owned(),
    };
    file.key.push(proof(setting, if setting == "secret" { KeyKind::Secret } else { KeyKind::Text }, true));
    // Makes each field a setting of the source, so that its variable is accepted.
    let field = |field: &CustomField| KeyTable {
        begins_with: Vec::new(),
        rotates: false,
        name: custom_variable(field.name).to_ascii_lowercase(),
        kind: KeyKind::Text,
        required: false,
        default: None,
        doc: field.doc.to_owned(),
    };
    file.key.extend(CUSTOM_FIELDS.iter().map(field));
    Ok(file)
}

/// Adds the signature and returns the name of the setting with the key.
fn signature(
    file: &mut RecipeFile,
    at: String,
    given: &impl Fn(&str) -> Option<String>,
) -> Result<&'static str, FieldProblem> {
    let algorithm: Algorithm = parsed("signature.algorithm", given)?.unwrap_or(Algorithm::HmacSha256);
    let setting = if algorithm.public().is_some() { "public_key" } else { "secret" };
    let key = KeySourceTable {
        setting: Some(setting.to_owned()),
        encoding: parsed::<KeyEncoding>("signature.key.encoding", given)?.unwrap_or_default(),
        prefix: given("signature.key.prefix").into_iter().collect(),
        ..KeySourceTable::default()
    };
    file.signature.push(SignatureTable {
        at,
        layout: given("signature.layout").unwrap_or_else(|| "{signature}".to_owned()),
        encoding: parsed("signature.encoding", given)?.unwrap_or(Encoding::Hex),
        algorithm,
        key: KeyField::Table(Box::new(key)),
        text: given("signature.text").unwrap_or_else(|| "{body}".to_owned()),
        timestamp: None,
        require: Vec::new(),
        repeats: false,
        enabled_by: None,
        without: None,
    });
    if let Some(at) = given("timestamp.at") {
        let unit = parsed("timestamp.unit", given)?.unwrap_or(TimestampUnit::Seconds);
        file.timestamp =
            Some(TimestampTable { at, unit, tolerance_seconds: super::file::DEFAULT_TOLERANCE_SECONDS });
    }
    Ok(setting)
}

/// Parses a value from a fixed set of words.
fn parsed<'de, T: Deserialize<'de>>(
    field: &str,
    given: &impl Fn(&str) -> Option<String>,
) -> Result<Option<T>, FieldProblem> {
    let Some(text) = given(field) else { return Ok(None) };
    let word: StrDeserializer<'_, Error> = text.trim().into_deserializer();
    T::deserialize(word).map(Some).map_err(|error| problem(field, error.to_string()))
}
