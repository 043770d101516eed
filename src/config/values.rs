//! The raw values, grouped by service, source and target: names are resolved and files are read,
//! but values are not parsed yet.

use std::collections::BTreeMap;
use std::io::Read;

use super::error::{ConfigError, ValueError};
use super::names::{self, Meaning, escaped};
use super::noun::Noun;
use super::parse::shown;
use super::table::{self, AbsentValue, FILE_SUFFIX};

/// Maximum size of a file, enough for a private key with its certificates, or for many recipes, but
/// far below the size of a database that is named by mistake.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// An empty reply is valid; any other empty value is a mistake, such as an unset shell variable.
const MAY_BE_EMPTY: &str = "REPLY_BODY";

/// A single value. It may be a secret, so it does not implement `Debug`.
pub struct RawValue {
    /// The variable as it was set, including `_FILE`.
    pub variable: String,
    pub text: String,
}

/// The values of one source or target by key, such as `PUBLIC_KEY`.
pub type OwnValues = BTreeMap<String, RawValue>;

/// All values, and the problems found so far.
#[derive(Default)]
pub struct Values {
    globals: BTreeMap<&'static str, RawValue>,
    pub sources: BTreeMap<String, OwnValues>,
    pub targets: BTreeMap<String, OwnValues>,
    pub problems: Vec<ConfigError>,
    /// Whether the user's own recipes could not be read, or are invalid.
    pub recipes_failed: bool,
    /// Advice on the user's own recipes.
    pub advice: Vec<String>,
}

impl Values {
    /// Groups the variables by service, source and target. If the user's own recipes could not be
    /// loaded (`recipes_failed`), unknown keys of sources may belong to those recipes, and are not
    /// reported as further problems.
    pub fn read(vars: &BTreeMap<String, String>, recipes_failed: bool) -> Self {
        let mut values = Self { recipes_failed, ..Self::default() };
        for (name, text) in vars {
            let (base, is_file) = names::without_file(name);
            match names::read(base, |name| provider_of(vars, name)) {
                None => {}
                Some(Err(_)) if recipes_failed && base.starts_with(Noun::Source.prefix()) => {}
                Some(Err(error)) => values.problems.push(error.of(escaped(name))),
                Some(Ok(meaning)) => {
                    values.add(
                        meaning,
                        name,
                        text,
                        ValueForm { is_file, twice: is_file && vars.contains_key(base) },
                    );
                }
            }
        }
        values
    }

    fn add(&mut self, meaning: Meaning, name: &str, text: &str, given: ValueForm) {
        if given.twice {
            let base = names::without_file(name).0;
            self.problem(name, ValueError::new(format!("is set, and so is {base}")).hint("keep one of them"));
            return;
        }
        let may_be_empty = match &meaning {
            Meaning::Of(reading) => reading.noun == Noun::Source && reading.key == MAY_BE_EMPTY,
            Meaning::Global(_) => false,
        };
        let text = if given.is_file { read_file(text) } else { Ok(text.to_owned()) };
        let text = text.and_then(|text| match text.trim().is_empty() && !may_be_empty {
            true => Err(ValueError::new("is empty").hint("give it a value or remove it")),
            false => Ok(text),
        });
        let value = RawValue {
            variable: name.to_owned(),
            // An empty text stands for the value, so that the variable, its source or its target is
            // not also reported as missing.
            text: text.unwrap_or_else(|error| {
                self.problem(name, error);
                String::new()
            }),
        };
        match meaning {
            Meaning::Global(name) => {
                self.globals.insert(name, value);
            }
            Meaning::Of(reading) => {
                let all = match reading.noun {
                    Noun::Source => &mut self.sources,
                    Noun::Target => &mut self.targets,
                };
                all.entry(reading.name).or_default().insert(reading.key, value);
            }
        }
    }

    /// Parses a value that has a default in the table.
    pub fn required<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, ValueError>) -> T {
        let set = self.optional(name, &parse);
        set.unwrap_or_else(|| parse_default(name, parse))
    }

    /// Parses an optional value; also returns `None` after a problem, which is added to the list.
    pub fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, ValueError>) -> Option<T> {
        let value = self.globals.get(table::variable(name).name)?;
        parse_value(value, parse, &mut self.problems)
    }

    /// Returns the values of the service itself, by name.
    pub fn globals(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.globals.iter().map(|(name, value)| (*name, value))
    }

    pub fn problem(&mut self, variable: &str, error: ValueError) {
        self.problems.push(error.of(variable));
    }
}

/// Returns the value of a variable `…_PROVIDER`; empty if only its `_FILE` variable is set.
fn provider_of<'a>(vars: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let in_file = || vars.contains_key(&format!("{name}{FILE_SUFFIX}")).then_some("");
    vars.get(name).map(String::as_str).or_else(in_file)
}

/// Form in which a value was given.
struct ValueForm {
    is_file: bool,
    /// Whether it was given both directly and as a file.
    twice: bool,
}

/// A source or target during validation.
pub struct ValueDraft<'a> {
    pub name: &'a str,
    pub values: &'a OwnValues,
    /// `CREEL_SOURCE_MY_SHOP_`
    pub prefix: String,
}

impl<'a> ValueDraft<'a> {
    pub fn new(noun: Noun, name: &'a str, values: &'a OwnValues) -> Self {
        Self { name, values, prefix: names::prefix(noun, name) }
    }

    /// Parses the value of a key; `None` if it is absent or has a problem, which is added to the
    /// list.
    pub fn parsed<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
        problems: &mut Vec<ConfigError>,
    ) -> Option<T> {
        parse_value(self.values.get(key)?, parse, problems)
    }

    /// Returns the variable as it was set, or as it would be set.
    pub fn variable(&self, key: &str) -> String {
        self.values.get(key).map_or_else(|| format!("{}{key}", self.prefix), |value| value.variable.clone())
    }
}

/// Parses the default from the table.
pub fn parse_default<T>(name: &str, parse: impl Fn(&str) -> Result<T, ValueError>) -> T {
    match table::variable(name).absent {
        AbsentValue::Default(text) => parse(text).expect("the table's defaults are valid"),
        AbsentValue::Means(_) => unreachable!("{name} has no default to parse"),
    }
}

/// Parses a value; `None` after a problem, which is added to the list. An empty text already has a
/// recorded problem.
pub fn parse_value<T>(
    value: &RawValue,
    parse: impl Fn(&str) -> Result<T, ValueError>,
    problems: &mut Vec<ConfigError>,
) -> Option<T> {
    if value.text.is_empty() {
        return None;
    }
    match parse(&value.text) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            problems.push(error.of(&value.variable));
            None
        }
    }
}

/// Returns the content of a file without its last line break.
pub fn read_file(path: &str) -> Result<String, ValueError> {
    if path.trim().is_empty() {
        return Err(ValueError::new("is empty").hint("give it the path of a file or remove it"));
    }
    let unreadable = |error: std::io::Error| {
        ValueError::new(format!("cannot read the file {}: {error}", shown(path)))
            .hint("correct the path or the file's permissions")
            .caused_by(error)
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("the file {} is larger than {} KiB", shown(path), MAX_FILE_BYTES / 1024);
        return Err(ValueError::new(problem)
            .hint("name a file that contains only the value (for CREEL_RECIPES: only recipes)"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        ValueError::new(format!("the file {} is not UTF-8 text", shown(path)))
            .hint("write the value as text")
            // The error itself contains the value, which may be a secret.
            .caused_by(error.utf8_error())
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
