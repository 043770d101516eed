//! The built-in recipes: one file each under `recipes/`, compiled in.

use std::sync::LazyLock;

use super::recipe::Recipe;

/// In alphabetical order.
const FILES: [(&str, &str); 6] = [
    ("github", include_str!("recipes/github.toml")),
    ("none", include_str!("recipes/none.toml")),
    ("standard-webhooks", include_str!("recipes/standard-webhooks.toml")),
    ("stripe", include_str!("recipes/stripe.toml")),
    ("token", include_str!("recipes/token.toml")),
    ("typeform", include_str!("recipes/typeform.toml")),
];

static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    let parse = |(name, text): &(&str, &str)| {
        Recipe::parse(name, text).unwrap_or_else(|error| panic!("built-in {error}"))
    };
    FILES.iter().map(parse).collect()
});

/// The built-in recipes in alphabetical order.
///
/// # Panics
/// At the first call, if a recipe that was compiled in is wrong; the tests read them all.
pub fn recipes() -> &'static [Recipe] {
    &RECIPES
}

pub fn recipe(name: &str) -> Option<&'static Recipe> {
    let place = RECIPES.binary_search_by(|recipe| recipe.name().cmp(name)).ok()?;
    Some(&RECIPES[place])
}
