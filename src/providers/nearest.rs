//! Suggestions for a misspelt provider name. Only similar names are suggested.

use super::aliases::aliases;
use super::catalogue::{added_recipes, builtin_names};
use super::recipe::Recipe;

/// Maximum edits between a name and its misspelling. With more, unrelated names match too.
const MAX_EDITS: usize = 2;
/// Minimum characters of a name for each edit, up to `MAX_EDITS`.
const CHARACTERS_PER_EDIT: usize = 3;
/// Minimum characters of a shared beginning or word; shorter ones are shared by chance.
const MIN_SHARED_CHARACTERS: usize = 3;
const MAX_SUGGESTIONS: usize = 5;
/// Words in provider names that do not identify the provider.
const COMMON_WORDS: [&str; 12] = [
    "api",
    "app",
    "classic",
    "cloud",
    "events",
    "header",
    "notifications",
    "payments",
    "sign",
    "token",
    "webhook",
    "webhooks",
];

/// The similarity of a name and a text; a smaller value is more similar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Misspelt(usize),
    Beginning,
    SharedWord,
}

/// Returns the providers that a text may mean, most likely first; empty if no name is similar.
pub fn similar_providers(text: &str) -> Vec<&'static str> {
    let text = normalized(text);
    let own = added_recipes().into_iter().map(Recipe::name);
    let names = builtin_names().chain(own);
    let names = names.chain(aliases().iter().map(|alias| alias.name.as_str()));
    let mut found: Vec<(Likeness, &str)> =
        names.filter_map(|name| Some((likeness(&text, name)?, name))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).take(MAX_SUGGESTIONS).collect()
}

/// Returns the advice for an unknown provider name, as the end of a sentence.
pub fn provider_advice(text: &str) -> String {
    match &similar_providers(text)[..] {
        [] => "no provider has a similar name; `creel providers` lists all. For another sender use `token` (a shared value in a header), `standard-webhooks`, or `custom`"
            .to_owned(),
        names => format!("did you mean {}? `creel providers` lists all", names.join(", ")),
    }
}

/// Converts a name to lower case, with `-` between words.
fn normalized(text: &str) -> String {
    let dash = |character: char| if character.is_alphanumeric() { character } else { '-' };
    text.trim().to_lowercase().chars().map(dash).collect()
}

fn likeness(text: &str, name: &str) -> Option<Likeness> {
    let without_dashes = |text: &str| text.replace('-', "");
    let (joined, joined_name) = (without_dashes(text), without_dashes(name));
    let characters = joined.chars().count().min(joined_name.chars().count());
    let edits = strsim::damerau_levenshtein(&joined, &joined_name);
    if edits <= MAX_EDITS.min(characters / CHARACTERS_PER_EDIT) {
        return Some(Likeness::Misspelt(edits));
    }
    let begins = |whole: &str, beginning: &str| {
        beginning.chars().count() >= MIN_SHARED_CHARACTERS && whole.starts_with(beginning)
    };
    let is_distinctive = |word: &&str| word.len() >= MIN_SHARED_CHARACTERS && !COMMON_WORDS.contains(word);
    if begins(name, text) || (is_distinctive(&name) && begins(text, &format!("{name}-"))) {
        return Some(Likeness::Beginning);
    }
    let mut words = text.split('-').filter(is_distinctive);
    words.any(|word| name.split('-').any(|other| other == word)).then_some(Likeness::SharedWord)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_recognized() {
        for (text, expected) in [
            ("githbu", "github"),
            ("GitHub", "github"),
            ("strpe", "stripe"),
            ("shopfy", "shopify"),
            ("standard_webhooks", "standard-webhooks"),
            ("standardwebhooks", "standard-webhooks"),
            ("dodopayments", "dodo-payments"),
            ("alert-manager", "alertmanager"),
            ("mlfow", "mlflow"),
            ("open.ai", "openai"),
            ("github-enterprise", "github"),
            ("hubspot", "hubspot-v1"),
            ("aws-eventbridge", "aws-sns"),
            ("google drive", "google-channel"),
            ("bxo", "box"),
            ("twiter", "twitter"),
        ] {
            assert_eq!(similar_providers(text).first(), Some(&expected), "{text}");
            assert!(provider_advice(text).contains(expected), "{text}");
        }
    }

    #[test]
    fn unrelated_names_get_no_suggestion() {
        for text in [
            "zzz",
            "z",
            "",
            "-",
            "x-y-z",
            "acme",
            "my-webhooks",
            "token-service",
            "kubernetes",
            "🦀",
            "q".repeat(500).as_str(),
        ] {
            assert_eq!(similar_providers(text), Vec::<&str>::new(), "{text}");
            let advice = provider_advice(text);
            for way in ["`token`", "`standard-webhooks`", "`custom`"] {
                assert!(advice.contains(way), "{advice}");
            }
        }
    }

    #[test]
    fn short_name_matches_no_unrelated_provider() {
        for (text, wrong) in
            [("zzz", "box"), ("abl", "x"), ("ab", "a2a"), ("webhook", "webflow"), ("sentri-x", "x")]
        {
            assert!(!similar_providers(text).contains(&wrong), "{text} {wrong}");
        }
        assert!(similar_providers("s").is_empty());
        assert!(similar_providers("github").len() <= MAX_SUGGESTIONS);
    }
}
