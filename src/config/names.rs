//! Parses the names of variables: each is a variable of the service, or a key of a source or
//! target. An unknown name is an error that suggests the nearest known one. Names are parsed from
//! the end: first `_FILE`, then a known key; the rest is the name of the source or target. If
//! several keys match, the longest key that fits the source's provider is used, otherwise the
//! longest key.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::error::ValueError;
use super::noun::Noun;
use super::parse::shown;
use super::table::{self, FILE_SUFFIX, PREFIX};
use crate::providers::{self, Recipe};
use crate::store::EMITTED;

const MAX_NAME_CHARACTERS: usize = 64;
/// Number of the last secret: `_SECRET`, then `_SECRET_2` to `_SECRET_9` for rotation.
const LAST_SECRET: u32 = 9;
/// Similarity (0 to 1) below which a name is not suggested.
const MIN_LIKENESS: f64 = 0.5;

/// Meaning of a variable name without `_FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Global(&'static str),
    Of(NameReading),
}

/// One way to split the name of a source's or target's variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameReading {
    pub noun: Noun,
    /// Name of the source or target: lower case, with `-` for `_`.
    pub name: String,
    /// Upper case, such as `PUBLIC_KEY`.
    pub key: String,
}

/// Parses a name without `_FILE`; `None` if it does not start with `CREEL_`. `provider_of` returns
/// the value of a variable `…_PROVIDER`.
///
/// # Errors
/// The problem with an unknown or invalid name; the caller adds the name.
pub fn read<'a>(
    base: &str,
    provider_of: impl Fn(&str) -> Option<&'a str>,
) -> Option<Result<Meaning, ValueError>> {
    if !base.starts_with(PREFIX) {
        return None;
    }
    if let Some(variable) = table::globals().find(|variable| variable.name == base) {
        return Some(Ok(Meaning::Global(variable.name)));
    }
    let split = Noun::ALL.into_iter().find_map(|noun| Some((noun, base.strip_prefix(noun.prefix())?)));
    let Some((noun, rest)) = split else { return Some(Err(unknown_global(base))) };
    let mut found = readings(noun, rest);
    let likely = found.iter().position(|reading| found.len() > 1 && fits_provider(reading, &provider_of));
    if found.is_empty() {
        return Some(Err(unknown_key(noun, rest)));
    }
    let reading = found.swap_remove(likely.unwrap_or_default());
    // The name is checked as written: otherwise `acme` and `ACME` would be one source.
    let written = &rest[..rest.len() - reading.key.len() - 1];
    Some(check_name(noun, written).map(|()| Meaning::Of(reading)))
}

/// Whether the provider of this reading has the key. Without this check, a key of a new provider
/// could change existing configurations: `MY_SIGNING_SECRET` must stay the secret of the source
/// `my-signing`.
fn fits_provider<'a>(reading: &NameReading, provider_of: impl Fn(&str) -> Option<&'a str>) -> bool {
    if reading.noun != Noun::Source {
        return false;
    }
    let named = provider_of(&format!("{}PROVIDER", prefix(Noun::Source, &reading.name)));
    let provider = named.map_or(reading.name.as_str(), str::trim);
    let is_common = || table::keys(Noun::Source).any(|(key, _)| key == reading.key);
    let is_field = |field: &str| providers::custom_variable(field) == reading.key;
    match providers::recipe(provider) {
        Some(recipe) => is_common() || recipe_keys(recipe).contains(&reading.key),
        None if provider == providers::CUSTOM => {
            is_common() || providers::CUSTOM_FIELDS.iter().any(|field| is_field(field.name))
        }
        // The provider is set by a file, or is invalid and reported with the source.
        None => named.is_some(),
    }
}

/// Returns all readings of the text after `CREEL_SOURCE_` or `CREEL_TARGET_`, longest key first.
pub fn readings(noun: Noun, rest: &str) -> Vec<NameReading> {
    readings_among(noun, rest, known_keys(noun).iter())
}

/// Returns the readings with the given keys instead of the known ones.
pub fn readings_among<'a>(
    noun: Noun,
    rest: &str,
    keys: impl Iterator<Item = &'a String>,
) -> Vec<NameReading> {
    let mut found: Vec<NameReading> = keys
        .filter_map(|key| {
            let name = rest.strip_suffix(key.as_str())?.strip_suffix('_')?;
            (!name.is_empty()).then(|| NameReading { noun, name: name_from(name), key: key.clone() })
        })
        .collect();
    found.sort_by_key(|reading| std::cmp::Reverse(reading.key.len()));
    found
}

/// Returns the prefix of the variables of a source or target: source `my-shop` →
/// `CREEL_SOURCE_MY_SHOP_`.
pub fn prefix(noun: Noun, name: &str) -> String {
    format!("{}{}_", noun.prefix(), name.to_ascii_uppercase().replace('-', "_"))
}

/// Returns the keys that a recipe adds to the common ones, in upper case, including those for
/// rotation, such as `SECRET_2`.
pub fn recipe_keys(recipe: &Recipe) -> Vec<String> {
    recipe.keys().iter().flat_map(|key| keys_of(&key.name, key.rotates)).collect()
}

fn keys_of(setting: &str, rotates: bool) -> Vec<String> {
    let name = setting.to_ascii_uppercase();
    let further = rotates.then(|| further_values(&name)).into_iter().flatten();
    std::iter::once(name.clone()).chain(further).collect()
}

/// Returns `SECRET_2` to `SECRET_9`, in order.
pub fn further_secrets() -> impl Iterator<Item = String> {
    further_values("SECRET")
}

fn further_values(key: &str) -> impl Iterator<Item = String> {
    (2..=LAST_SECRET).map(move |number| format!("{key}_{number}"))
}

/// Returns the setting of a key: `SECRET_2` is a further value of `secret`.
pub fn setting_of(key: &str) -> String {
    first_of(key).unwrap_or(key).to_ascii_lowercase()
}

/// Returns the first key of a further value: `SECRET` for `SECRET_2`. No recipe declares a key that
/// ends in `_2` to `_9`.
pub fn first_of(key: &str) -> Option<&str> {
    let (first, number) = key.rsplit_once('_')?;
    number.parse().is_ok_and(|number: u32| (2..=LAST_SECRET).contains(&number)).then_some(first)
}

/// Returns the name without `_FILE`, and whether it had that suffix.
pub fn without_file(name: &str) -> (&str, bool) {
    match name.strip_suffix(FILE_SUFFIX) {
        Some(base) => (base, true),
        None => (name, false),
    }
}

/// Returns every key of sources or targets.
fn known_keys(noun: Noun) -> Arc<BTreeSet<String>> {
    static TARGET_KEYS: LazyLock<Arc<BTreeSet<String>>> = LazyLock::new(|| {
        let common = table::keys(Noun::Target).map(|(key, _)| key.to_owned());
        Arc::new(common.chain(further_secrets()).collect())
    });
    match noun {
        Noun::Source => known_source_keys(),
        Noun::Target => TARGET_KEYS.clone(),
    }
}

/// Returns every key of sources. The cached set is rebuilt when the user's own recipes have been
/// added.
fn known_source_keys() -> Arc<BTreeSet<String>> {
    static KEYS: Mutex<Option<(usize, Arc<BTreeSet<String>>)>> = Mutex::new(None);
    let added = providers::added_recipes();
    let mut known = KEYS.lock();
    match &*known {
        Some((count, keys)) if *count == added.len() => keys.clone(),
        _ => {
            let common = table::keys(Noun::Source).map(|(key, _)| key.to_owned());
            let special = added.iter().copied().flat_map(recipe_keys);
            let builtin =
                providers::BUILTIN_SETTINGS.iter().flat_map(|(setting, rotates)| keys_of(setting, *rotates));
            let custom = providers::CUSTOM_FIELDS.iter().map(|field| providers::custom_variable(field.name));
            let keys =
                Arc::new(common.chain(builtin).chain(special).chain(custom).collect::<BTreeSet<String>>());
            *known = Some((added.len(), keys.clone()));
            keys
        }
    }
}

fn name_from(written: &str) -> String {
    written.to_ascii_lowercase().replace('_', "-")
}

/// Validates the name of a source or target as written in the variable, such as `MY_SHOP`.
fn check_name(noun: Noun, written: &str) -> Result<(), ValueError> {
    let word = noun.word();
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if !written.bytes().all(allowed) || written.starts_with('_') || written.ends_with('_') {
        return Err(ValueError::new(format!("has no valid name for a {word}"))
            .hint(format!("use A-Z, 0-9, and _ in between, like {}", noun.example())));
    }
    if written.len() > MAX_NAME_CHARACTERS {
        let problem = format!("names a {word} with more than {MAX_NAME_CHARACTERS} characters");
        return Err(ValueError::new(problem).hint("choose a shorter name"));
    }
    if noun == Noun::Source && name_from(written) == EMITTED {
        let problem =
            format!("uses the source name `{EMITTED}`, which is reserved for the events of your own app");
        return Err(ValueError::new(problem).hint("choose another name"));
    }
    Ok(())
}

fn unknown_global(base: &str) -> ValueError {
    let rest = base.strip_prefix(PREFIX).unwrap_or(base);
    let meant = rest.split_once('_').and_then(|(first, others)| {
        let is_near =
            |noun: &Noun| strsim::damerau_levenshtein(first, &noun.word().to_ascii_uppercase()) <= 2;
        let noun = Noun::ALL.into_iter().find(is_near)?;
        Some(escaped(&format!("{}{others}", noun.prefix())))
    });
    // The common prefix would make any two names similar.
    let likeness =
        |name: &str| strsim::normalized_damerau_levenshtein(rest, name.strip_prefix(PREFIX).unwrap_or(name));
    let known = table::globals().map(|variable| (likeness(variable.name), variable.name));
    let known = known.filter(|(likeness, _)| *likeness >= MIN_LIKENESS).max_by(|a, b| a.0.total_cmp(&b.0));
    match meant.or_else(|| known.map(|(_, name)| name.to_owned())) {
        Some(nearest) => ValueError::new("is unknown").hint(format!("the nearest known name is {nearest}")),
        None => ValueError::new("is unknown, and no known name is similar").hint("see docs/configuration.md"),
    }
}

fn unknown_key(noun: Noun, rest: &str) -> ValueError {
    let likeness = strsim::normalized_damerau_levenshtein;
    let known = known_keys(noun);
    let splits = rest.match_indices('_').filter(|(at, _)| *at > 0);
    let of_keys = splits.flat_map(|(at, _)| {
        let (name, tail) = (&rest[..at], &rest[at + 1..]);
        known.iter().map(move |key| (likeness(tail, key), format!("{name}_{key}")))
    });
    let of_globals = table::globals()
        .filter_map(|variable| variable.name.strip_prefix(noun.prefix()))
        .map(|global| (likeness(rest, global), global.to_owned()));
    let nearest = of_keys
        .chain(of_globals)
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let (prefix, word) = (noun.prefix(), noun.word());
    let hint = match nearest {
        Some((_, nearest)) => {
            format!("the nearest known name is {}", escaped(&format!("{prefix}{nearest}")))
        }
        None => {
            let keys: Vec<&str> = table::keys(noun).map(|(key, _)| key).collect();
            let more = match noun {
                Noun::Source => " (`creel providers NAME` lists a provider's own)",
                Noun::Target => "",
            };
            format!(
                "a {word}'s variable is {prefix}<NAME>_<KEY>, and the keys of every {word} are {}{more}",
                keys.join(" ")
            )
        }
    };
    ValueError::new("does not end in a known key").hint(hint)
}

/// Escapes an untrusted name for an error text.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.bytes().all(plain) { name.to_owned() } else { shown(name) }
}
