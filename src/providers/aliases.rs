//! Other names of providers, as data: `aliases.toml`. Each resolves to a built-in recipe.

use std::sync::LazyLock;

use serde::Deserialize;

/// Another name of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    pub name: String,
    pub title: String,
    /// Name of the built-in recipe that it resolves to.
    pub provider: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasFile {
    alias: Vec<Alias>,
}

static ALIASES: LazyLock<Vec<Alias>> = LazyLock::new(|| {
    let file: AliasFile = toml::from_str(include_str!("aliases.toml")).expect("a test parses aliases.toml");
    file.alias
});

/// All aliases, in the order of the file.
pub fn aliases() -> &'static [Alias] {
    &ALIASES
}

/// The alias with this exact name.
pub fn alias(name: &str) -> Option<&'static Alias> {
    ALIASES.iter().find(|alias| alias.name == name)
}

/// The other names of a recipe.
pub fn aliases_of(provider: &str) -> impl Iterator<Item = &'static Alias> {
    ALIASES.iter().filter(move |alias| alias.provider == provider)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{recipe, recipes};
    use super::*;

    #[test]
    fn alias_is_unique_and_resolves_to_recipe() {
        let mut seen = BTreeSet::new();
        for alias in aliases() {
            let is_builtin = |name: &str| recipes().any(|recipe| recipe.name() == name);
            assert!(is_builtin(&alias.provider), "{}", alias.name);
            assert!(!is_builtin(&alias.name) && seen.insert(&alias.name), "{} is taken", alias.name);
            assert_eq!(recipe(&alias.name).unwrap().name(), alias.provider);
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(alias.name.bytes().all(is_plain) && !alias.title.is_empty(), "{}", alias.name);
        }
    }
}
