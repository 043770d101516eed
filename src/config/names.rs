//! What a variable's name means: which variable, or which key of which source; and the nearest known name where it
//! means nothing. Names are read from the end: `_FILE` off, then the longest known key; the rest is the source.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::parse::shown;
use super::table::{self, FILE_SUFFIX, PREFIX, SOURCE_PREFIX};
use crate::providers::{self, Recipe};

const MAX_NAME_CHARACTERS: usize = 64;
/// A first key and eight further ones, for rotation.
const LAST_SECRET: u32 = 9;
/// Below this likeness (0 to 1) a key is not worth suggesting.
const LEAST_LIKENESS: f64 = 0.5;

/// What a name, without `_FILE`, means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Global(&'static str),
    Source(Reading),
}

/// One way to split the name of a source's variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// As the source is called: lower case, `-` for `_`.
    pub source: String,
    /// Upper case, such as `PUBLIC_KEY`.
    pub key: String,
}

/// `None` for names that are not creel's.
///
/// # Errors
/// What is wrong with a name that begins like one of creel's and is none, without the name itself.
pub fn read(base: &str) -> Option<Result<Meaning, String>> {
    if !base.starts_with(PREFIX) {
        return None;
    }
    if let Some(variable) = table::globals().find(|variable| variable.name == base) {
        return Some(Ok(Meaning::Global(variable.name)));
    }
    let Some(rest) = base.strip_prefix(SOURCE_PREFIX) else {
        return Some(Err(unknown_global(base)));
    };
    let Some(reading) = readings(rest).into_iter().next() else {
        return Some(Err(unknown_source_key(rest)));
    };
    // Checked as written: `acme` and `ACME` would be one source otherwise.
    let written = &rest[..rest.len() - reading.key.len() - 1];
    Some(check_source_name(written).map(|()| Meaning::Source(reading)))
}

/// All readings of what follows `CREEL_SOURCE_`, the longest key first.
pub fn readings(rest: &str) -> Vec<Reading> {
    readings_among(rest, known_keys().iter())
}

/// As `readings`, with other keys than the known ones.
pub fn readings_among<'a>(rest: &str, keys: impl Iterator<Item = &'a String>) -> Vec<Reading> {
    let mut found: Vec<Reading> = keys
        .filter_map(|key| {
            let name = rest.strip_suffix(key.as_str())?.strip_suffix('_')?;
            (!name.is_empty()).then(|| Reading { source: source_name(name), key: key.clone() })
        })
        .collect();
    found.sort_by_key(|reading| std::cmp::Reverse(reading.key.len()));
    found
}

/// The beginning of a source's variables: `my-shop` → `CREEL_SOURCE_MY_SHOP_`.
pub fn source_prefix(source: &str) -> String {
    format!("{SOURCE_PREFIX}{}_", source.to_ascii_uppercase().replace('-', "_"))
}

/// The keys that a recipe takes beyond the common ones, in upper case, further secrets included.
pub fn recipe_keys(recipe: &Recipe) -> Vec<String> {
    let mut keys = Vec::new();
    for key in recipe.keys() {
        let name = key.name.to_ascii_uppercase();
        let rotates = name == "SECRET";
        keys.push(name);
        if rotates {
            keys.extend((2..=LAST_SECRET).map(|number| format!("SECRET_{number}")));
        }
    }
    keys
}

/// The setting that a key gives a value for: `SECRET_2` is a further value of `secret`.
pub fn setting_of(key: &str) -> String {
    let numbered = (2..=LAST_SECRET).any(|number| key == format!("SECRET_{number}"));
    if numbered { "secret".to_owned() } else { key.to_ascii_lowercase() }
}

/// The name without `_FILE`, and whether it had it.
pub fn without_file(name: &str) -> (&str, bool) {
    match name.strip_suffix(FILE_SUFFIX) {
        Some(base) => (base, true),
        None => (name, false),
    }
}

/// Every key that some source may have. Made anew when the user's own recipes have been added.
fn known_keys() -> Arc<BTreeSet<String>> {
    static KEYS: Mutex<Option<(usize, Arc<BTreeSet<String>>)>> = Mutex::new(None);
    let added = providers::added_recipes();
    let mut known = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some((count, keys)) if *count == added.len() => keys.clone(),
        _ => {
            let common = table::source_keys().map(|(key, _)| key.to_owned());
            let special = providers::recipes().iter().chain(added.iter().copied()).flat_map(recipe_keys);
            let custom = providers::CUSTOM_FIELDS.iter().map(|field| providers::custom_variable(field.name));
            let keys = Arc::new(common.chain(special).chain(custom).collect::<BTreeSet<String>>());
            *known = Some((added.len(), keys.clone()));
            keys
        }
    }
}

fn source_name(written: &str) -> String {
    written.to_ascii_lowercase().replace('_', "-")
}

/// `written` is the part of the variable's name, such as `MY_SHOP`.
fn check_source_name(written: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if !written.bytes().all(allowed) || written.starts_with('_') || written.ends_with('_') {
        return Err(
            "holds no good name for a source; write it with A-Z, 0-9 and _ between, like CREEL_SOURCE_MY_SHOP_SECRET"
                .to_owned(),
        );
    }
    if written.len() > MAX_NAME_CHARACTERS {
        return Err(format!(
            "names a source with more than {MAX_NAME_CHARACTERS} characters; choose a shorter name"
        ));
    }
    Ok(())
}

fn unknown_global(base: &str) -> String {
    let rest = base.strip_prefix(PREFIX).unwrap_or(base);
    if let Some((first, others)) = rest.split_once('_')
        && strsim::damerau_levenshtein(first, "SOURCE") <= 2
    {
        return format!(
            "is unknown; the nearest known name is {}",
            escaped(&format!("{SOURCE_PREFIX}{others}"))
        );
    }
    let nearest = table::globals()
        .map(|variable| variable.name)
        .min_by_key(|name| strsim::damerau_levenshtein(base, name))
        .unwrap_or_default();
    format!("is unknown; the nearest known name is {nearest}")
}

fn unknown_source_key(rest: &str) -> String {
    let splits = rest.match_indices('_').filter(|(at, _)| *at > 0);
    let known = known_keys();
    let nearest = splits
        .flat_map(|(at, _)| {
            let (name, tail) = (&rest[..at], &rest[at + 1..]);
            known.iter().map(move |key| (strsim::normalized_damerau_levenshtein(tail, key), name, key))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, ..)| *likeness >= LEAST_LIKENESS);
    match nearest {
        Some((_, name, key)) => format!(
            "ends in no known key; the nearest known name is {}",
            escaped(&format!("{SOURCE_PREFIX}{name}_{key}"))
        ),
        None => {
            let keys: Vec<&str> = table::source_keys().map(|(key, _)| key).collect();
            format!(
                "ends in no known key; a source's variable is {SOURCE_PREFIX}<NAME>_<KEY>, and the keys of every source are {} (`creel providers NAME` lists a provider's own)",
                keys.join(" ")
            )
        }
    }
}

/// A name for a message; it came from outside.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.bytes().all(plain) { name.to_owned() } else { shown(name) }
}
