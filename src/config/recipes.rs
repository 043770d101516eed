//! The user's own recipes, from the file that `CREEL_RECIPES` names.

use std::collections::BTreeMap;
use std::path::Path;

use super::values::read_file;
use crate::providers;

pub const VARIABLE: &str = "CREEL_RECIPES";

/// Adds the recipes of the file, if one is named.
///
/// # Errors
/// The problem, with the variable's name.
pub fn add(vars: &BTreeMap<String, String>) -> Result<(), String> {
    let Some(path) = vars.get(VARIABLE).filter(|path| !path.trim().is_empty()) else { return Ok(()) };
    let problem = |problem: String| format!("{VARIABLE}: {problem}");
    let text = read_file(path).map_err(problem)?;
    let name = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    providers::add_file(&text, &name.unwrap_or_default()).map_err(|error| problem(error.to_string()))?;
    Ok(())
}
