//! Fields that several tables of a recipe have, and the problems with them.

use std::fmt::Display;

use crate::scheme::condition::RequestCondition;
use crate::scheme::place::Place;
use crate::scheme::template::Template;

use super::super::recipe::{KeySource, NamedPlace};
use super::tables::{KeyField, KeyKind, KeyTable};

/// A problem in one field, before the recipe's name is known.
#[derive(Debug)]
pub struct FieldProblem(pub String, pub String);

pub fn problem(field: &str, problem: impl Display) -> FieldProblem {
    FieldProblem(field.to_owned(), problem.to_string())
}

/// Parses a place. `header {setting:header}` is the header that the setting names.
pub fn named_place(field: &str, text: &str, keys: &[KeyTable]) -> Result<NamedPlace, FieldProblem> {
    let setting = text.strip_prefix("header {setting:").and_then(|rest| rest.strip_suffix('}'));
    let Some(setting) = setting else {
        return Place::parse(text).map(NamedPlace::Place).map_err(|error| problem(field, error));
    };
    declared(field, setting, &[KeyKind::Text], keys)?;
    Ok(NamedPlace::HeaderOf { setting: setting.to_owned() })
}

pub fn key_source(field: &str, key: &KeyField, keys: &[KeyTable]) -> Result<KeySource, FieldProblem> {
    let table = match key {
        KeyField::Setting(setting) => {
            declared(field, setting, &[KeyKind::Secret, KeyKind::Text], keys)?;
            return Ok(KeySource::Setting { setting: setting.clone(), derivation: Default::default() });
        }
        KeyField::Table(table) => table,
    };
    let place = |text: &str| Place::parse(text).map_err(|error| problem(field, error));
    match (&table.setting, &table.by_id, table.key_set, &table.certificate_url) {
        (Some(setting), None, false, None) => {
            declared(field, setting, &[KeyKind::Secret, KeyKind::Text], keys)?;
            Ok(KeySource::Setting { setting: setting.clone(), derivation: table.derivation() })
        }
        (None, Some(by_id), false, None) => Ok(KeySource::ById(named_place(field, by_id, keys)?)),
        (None, None, true, None) => Ok(KeySource::AnyPublished),
        (None, None, false, Some(_)) if table.hosts.is_empty() => {
            Err(problem(field, "has a certificate URL, but not the trusted `hosts`"))
        }
        (None, None, false, Some(url)) => {
            Ok(KeySource::Certificate { url: place(url)?, hosts: table.hosts.clone() })
        }
        _ => Err(problem(
            field,
            "must contain exactly one of `setting`, `by_id`, `key_set` and `certificate_url`",
        )),
    }
}

/// Parses a template, whose settings must all be declared. It can contain no list: a request could
/// name one word of the list, and be verified with the key of another.
pub fn template(field: &str, text: &str, keys: &[KeyTable]) -> Result<Template, FieldProblem> {
    let template = Template::parse(text).map_err(|error| problem(field, error))?;
    for setting in template.settings() {
        declared(field, setting, &[KeyKind::Secret, KeyKind::Text], keys)?;
    }
    Ok(template)
}

pub fn conditions(
    field: &str,
    texts: &[String],
    keys: &[KeyTable],
) -> Result<Vec<RequestCondition>, FieldProblem> {
    let parse = |text: &String| {
        let condition = RequestCondition::parse(text).map_err(|error| problem(field, error))?;
        if let Some(setting) = condition.setting() {
            declared(field, setting, &[KeyKind::Secret, KeyKind::Text, KeyKind::List], keys)?;
        }
        Ok(condition)
    };
    texts.iter().map(parse).collect()
}

pub fn declared(field: &str, name: &str, kinds: &[KeyKind], keys: &[KeyTable]) -> Result<(), FieldProblem> {
    if keys.iter().any(|key| key.name == name && kinds.contains(&key.kind)) {
        return Ok(());
    }
    let kinds: Vec<String> =
        kinds.iter().map(|kind| format!("`{}`", format!("{kind:?}").to_lowercase())).collect();
    Err(problem(field, format!("needs a `[[key]]` named `{name}` of kind {}", kinds.join(" or "))))
}
