//! `creel providers`: lists the supported providers, or shows how to set one up.

use super::output::Failure;
use crate::config::Config;
use crate::providers::{self, Alias, Coverage, Recipe};

/// The providers to show.
#[derive(Debug, clap::Args)]
pub struct ProvidersArguments {
    /// A provider's name shows its page; a part of a name lists the matching providers.
    name: Option<String>,

    /// List the providers whose name, title or kind contains this text.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

/// Returns the page of one provider, or the list of the matching ones.
pub fn run(arguments: &ProvidersArguments) -> Result<String, Failure> {
    // This loads the user's own recipes. Problems in the configuration must not prevent a lookup.
    let _ = Config::from_env();
    if let Some(name) = arguments.name.as_deref() {
        let lower = name.trim().to_lowercase();
        if lower == providers::CUSTOM {
            return Ok(providers::custom_page());
        }
        // Names of the user's own recipes may have capitals.
        let found = [name, &lower].into_iter().find_map(|name| Some((name, providers::recipe(name)?)));
        if let Some((name, recipe)) = found {
            let alias = providers::alias(name).filter(|alias| alias.provider == recipe.name());
            return Ok(match alias {
                Some(alias) => providers::page_of_alias(alias, recipe),
                None => providers::page(recipe),
            });
        }
    }
    let wanted = arguments.search.as_deref().or(arguments.name.as_deref()).unwrap_or_default();
    let (recipes, aliases) = (matching(wanted), matching_aliases(wanted));
    if recipes.is_empty() && aliases.is_empty() {
        let advice = providers::provider_advice(wanted);
        return Err(Failure(format!("provider {wanted:?} not found; {advice}")));
    }
    Ok(list(&recipes, &aliases))
}

/// Returns all recipes. The user's own ones hide built-in ones with the same name.
fn all() -> impl Iterator<Item = &'static Recipe> {
    let own = providers::added_recipes();
    let is_hidden = |recipe: &Recipe| own.iter().any(|other| other.name() == recipe.name());
    let builtin: Vec<&Recipe> = providers::recipes().filter(|recipe| !is_hidden(recipe)).collect();
    builtin.into_iter().chain(own)
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

fn matching_aliases(wanted: &str) -> Vec<&'static Alias> {
    let wanted = wanted.to_lowercase();
    let fits = |alias: &&Alias| alias.name.contains(&wanted) || alias.title.to_lowercase().contains(&wanted);
    // A user's recipe hides an alias with the same name.
    let is_hidden =
        |alias: &Alias| providers::recipe(&alias.name).is_none_or(|recipe| recipe.name() != alias.provider);
    providers::aliases().iter().filter(fits).filter(|alias| !is_hidden(alias)).collect()
}

fn list(recipes: &[&Recipe], aliases: &[&Alias]) -> String {
    let names = recipes.iter().map(|recipe| recipe.name()).chain(aliases.iter().map(|alias| &*alias.name));
    let width = names.map(str::len).max().unwrap_or_default();
    let mut text = String::new();
    for recipe in recipes {
        let note = if recipe.coverage() == Coverage::Full { "" } else { " (body not fully signed)" };
        text.push_str(&format!("{:width$}  {}{note}\n", recipe.name(), recipe.title()));
    }
    for alias in aliases {
        text.push_str(&format!("{:width$}  {} (same as {})\n", alias.name, alias.title, alias.provider));
    }
    let others = match aliases.len() {
        0 => String::new(),
        1 => ", 1 other name".to_owned(),
        several => format!(", {several} other names"),
    };
    let count = recipes.len();
    let noun = if count == 1 { "provider" } else { "providers" };
    text.push_str(&format!("{count} {noun}{others}. `creel providers NAME` shows how to set one up.\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: Option<&str>, search: Option<&str>) -> Result<String, Failure> {
        run(&ProvidersArguments { name: name.map(str::to_owned), search: search.map(str::to_owned) })
    }

    #[test]
    fn full_name_shows_page_and_partial_name_lists() {
        let page = shown(Some("stripe"), None).expect("a page");
        assert!(page.contains("CREEL_SOURCE_STRIPE_SECRET") && page.contains("`{ts}.{body}`"), "{page}");
        let list = shown(Some("hubs"), None).expect("a list");
        assert!(list.contains("hubspot-v3"), "{list}");
        let list = shown(None, Some("banking")).expect("a list");
        assert!(list.contains("plaid") && !list.contains("github"), "{list}");
        let all = shown(None, None).expect("all");
        assert!(all.lines().count() > providers::recipes().len(), "{all}");
        let failure = shown(Some("githubb"), None).expect_err("no such provider").to_string();
        assert!(failure.contains("did you mean github"), "{failure}");
    }

    #[test]
    fn name_in_any_case_shows_the_page() {
        for name in ["Gitea", "GITEA", " gitea "] {
            assert_eq!(shown(Some(name), None).ok(), shown(Some("gitea"), None).ok(), "{name}");
        }
        assert!(shown(Some("Beehiiv"), None).expect("a page").starts_with("beehiiv (beehiiv)"));
        assert_eq!(shown(Some("Custom"), None).ok(), Some(providers::custom_page()));
    }

    #[test]
    fn list_of_one_is_in_the_singular() {
        let list = shown(None, Some("fireflies")).expect("a list");
        assert!(list.contains("\n1 provider. "), "{list}");
    }

    #[test]
    fn alias_shows_the_page_of_its_provider() {
        let page = shown(Some("beehiiv"), None).expect("a page");
        assert!(page.starts_with("beehiiv (beehiiv) uses the recipe of the provider `svix`."), "{page}");
        assert!(
            page.contains("`CREEL_SOURCE_BEEHIIV_SECRET`") && page.contains("`creel send beehiiv`"),
            "{page}"
        );
        assert!(!page.contains("CREEL_SOURCE_SVIX"), "{page}");
        let base = shown(Some("svix"), None).expect("a page");
        assert!(
            base.contains("`beehiiv` (beehiiv)") && base.contains("`CREEL_SOURCE_SVIX_SECRET`"),
            "{base}"
        );
    }

    #[test]
    fn search_finds_aliases_by_name_and_title() {
        for text in ["convertkit", "ConvertK", "incident.io", "Stytch"] {
            let list = shown(None, Some(text)).expect("a list");
            assert!(list.contains("same as") || list.contains("kit "), "{text}: {list}");
        }
        let list = shown(None, Some("hellosign")).expect("a list");
        assert_eq!(list.lines().next(), Some("hellosign  HelloSign (same as dropbox-sign)"), "{list}");
    }

    #[test]
    fn unrelated_name_gets_no_suggestion() {
        let failure = shown(Some("zzz"), None).expect_err("no such provider").to_string();
        assert!(failure.contains("no provider has a similar name") && !failure.contains("box"), "{failure}");
    }
}
