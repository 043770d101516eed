//! Words and names that the parts of a provider's page share.

use super::super::recipe::Recipe;

/// Marks facts for which no documentation or code of the provider was found.
pub const UNCONFIRMED: &str = " (not found in any documentation)";

/// Returns the mark of a fact without a reference; empty for other facts.
pub fn mark(recipe: &Recipe, field: &str) -> &'static str {
    if recipe.facts.is_unconfirmed(field) { UNCONFIRMED } else { "" }
}

/// Returns a variable of a source, such as `CREEL_SOURCE_GITHUB_SECRET`.
pub fn source_variable(source: &str, key: &str) -> String {
    format!("CREEL_SOURCE_{}_{}", source.to_ascii_uppercase().replace('-', "_"), key.to_ascii_uppercase())
}

/// Replaces the ends of variables, such as `_SECRET_2` in backticks, with their full names.
pub fn with_variables(lines: Vec<String>, provider: &str) -> Vec<String> {
    let prefix = source_variable(provider, "");
    let expand = |line: String| {
        let mut pieces = line.split("`_");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let is_variable = piece.starts_with(|first: char| first.is_ascii_uppercase());
            text.push('`');
            text.push_str(if is_variable { &prefix } else { "_" });
            text.push_str(piece);
        }
        text
    };
    lines.into_iter().map(expand).collect()
}

/// Joins texts with commas, and the last one with a word: `a, b and c`.
pub fn joined(texts: &[String], word: &str) -> String {
    match texts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// Returns the text with its first letter in upper case.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_variables_become_full_names() {
        let line = "With `_SECRET_2`, `_id` and `a_B` stay.".to_owned();
        let shown = with_variables(vec![line], "gitlab-signing-token");
        assert_eq!(shown, ["With `CREEL_SOURCE_GITLAB_SIGNING_TOKEN_SECRET_2`, `_id` and `a_B` stay."]);
    }
}
