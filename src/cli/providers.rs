//! `creel providers`: whom creel knows, and how to set one up.

use super::output::Failure;
use crate::config::Config;
use crate::providers::{self, Coverage, Recipe};

/// Whom to show.
#[derive(Debug, clap::Args)]
pub struct Providers {
    /// A provider's name, for its page; or a part of a name.
    name: Option<String>,

    /// Lists the providers whose name, title or kind holds this text.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

/// The page of one, or the list of those that fit.
pub fn run(arguments: &Providers) -> Result<String, Failure> {
    // Only for the user's own recipes: a configuration with problems is no reason not to look something up.
    let _ = Config::from_env();
    if let Some(name) = arguments.name.as_deref() {
        if name == "custom" {
            return Ok(providers::custom_page());
        }
        if let Some(recipe) = providers::recipe(name) {
            return Ok(providers::page(recipe));
        }
    }
    let wanted = arguments.search.as_deref().or(arguments.name.as_deref()).unwrap_or_default();
    let found = matching(wanted);
    if found.is_empty() {
        let nearest = all().min_by_key(|recipe| strsim::damerau_levenshtein(recipe.name(), wanted));
        return Err(Failure(format!(
            "no provider is called {wanted:?}; the nearest is {}. `creel providers` lists all, and `creel providers custom` shows how to describe one",
            nearest.map(Recipe::name).unwrap_or_default()
        )));
    }
    Ok(list(&found))
}

fn all() -> impl Iterator<Item = &'static Recipe> {
    providers::recipes().iter().chain(providers::added_recipes())
}

fn matching(wanted: &str) -> Vec<&'static Recipe> {
    let wanted = wanted.to_lowercase();
    let texts = |recipe: &Recipe| {
        [
            recipe.name().to_owned(),
            recipe.title().to_lowercase(),
            providers::group_name(recipe.group()).to_owned(),
        ]
    };
    all().filter(|recipe| texts(recipe).iter().any(|text| text.contains(&wanted))).collect()
}

fn list(recipes: &[&Recipe]) -> String {
    let width = recipes.iter().map(|recipe| recipe.name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for recipe in recipes {
        let note = if recipe.coverage() == Coverage::Full { "" } else { " (body not fully signed)" };
        text.push_str(&format!("{:width$}  {}{note}\n", recipe.name(), recipe.title()));
    }
    text.push_str(&format!("{} providers. `creel providers NAME` shows how to set one up.\n", recipes.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: Option<&str>, search: Option<&str>) -> Result<String, Failure> {
        run(&Providers { name: name.map(str::to_owned), search: search.map(str::to_owned) })
    }

    #[test]
    fn a_name_shows_the_page_and_a_part_of_one_the_list() {
        let page = shown(Some("stripe"), None).expect("a page");
        assert!(page.contains("CREEL_SOURCE_STRIPE_SECRET") && page.contains("`{ts}.{body}`"), "{page}");
        let list = shown(Some("hubs"), None).expect("a list");
        assert!(list.contains("hubspot-v3"), "{list}");
        let list = shown(None, Some("banking")).expect("a list");
        assert!(list.contains("plaid") && !list.contains("github"), "{list}");
        let all = shown(None, None).expect("all");
        assert!(all.lines().count() > providers::recipes().len(), "{all}");
        let failure = shown(Some("githubb"), None).expect_err("there is none").to_string();
        assert!(failure.contains("github"), "{failure}");
    }
}
