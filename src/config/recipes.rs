//! The user's own recipes, from the file in `CREEL_RECIPES`.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{ConfigError, ValueError};
use super::table::FILE_SUFFIX;
use super::values::read_file;
use crate::providers;

pub const VARIABLE: &str = "CREEL_RECIPES";

/// Adds the recipes of the configured file, and returns notes for the user.
///
/// # Errors
/// The file cannot be read, or a recipe is invalid.
pub fn add(vars: &BTreeMap<String, String>) -> Result<Vec<String>, ConfigError> {
    let Some(path) = path(vars).filter(|path| !path.trim().is_empty()) else { return Ok(Vec::new()) };
    let text = read_file(&path).map_err(|error| error.of(VARIABLE))?;
    let name = Path::new(&path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let added = providers::add_file(&text, &name.unwrap_or_default());
    let added = added.map_err(|error| ValueError::new(error.to_string()).caused_by(error).of(VARIABLE))?;
    // A note instead of an error: a later version of creel may include a recipe of the same name,
    // and the service must still start.
    let replacing = added.iter().map(|recipe| recipe.name()).filter(|name| providers::is_builtin(name));
    Ok(replacing.map(|name| format!("{VARIABLE}: the recipe {name} replaces the built-in one")).collect())
}

/// Returns the path of the recipes, which can also come from a file. If that file cannot be read,
/// `Values` reports it.
fn path(vars: &BTreeMap<String, String>) -> Option<String> {
    let in_file = || read_file(vars.get(&format!("{VARIABLE}{FILE_SUFFIX}"))?).ok();
    vars.get(VARIABLE).cloned().or_else(in_file)
}
