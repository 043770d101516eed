//! The page of a provider: setup, authentication and pitfalls. It is generated from the recipe, for
//! both `creel providers <name>` and `docs/providers/`, so that page and service cannot differ.

mod places;
mod setup;
mod text;

use std::fmt::Write;

#[cfg(test)]
use super::aliases::aliases;
use super::aliases::{Alias, aliases_of};
use super::custom::{CUSTOM_FIELDS, custom_variable};
use super::recipe::{Coverage, ProviderGroup, Recipe, SchemeFact};
use super::reply::RejectedReply;
use super::settings::{SettingKind, SettingSpec};
use crate::scheme::template::Template;
use places::{alternatives, parts};
#[cfg(test)]
use text::sentence;
pub use text::source_variable;
use text::{UNCONFIRMED, mark, with_variables};

/// The setting for a key that the provider publishes. It is not shown as secret.
const PUBLIC_KEY: &str = "public_key";

/// Returns the page of a recipe, as Markdown that is also readable in a terminal.
pub fn page(recipe: &Recipe) -> String {
    page_under(recipe, &recipe.name)
}

/// Returns the page of an alias, with the alias in the names of variables.
pub fn page_of_alias(alias: &Alias, recipe: &Recipe) -> String {
    format!(
        "{} ({}) uses the recipe of the provider `{}`.\n\n{}",
        alias.title,
        alias.name,
        recipe.name,
        page_under(recipe, &alias.name)
    )
}

/// Returns the page; `name` is the name of the source in the instructions.
fn page_under(recipe: &Recipe, name: &str) -> String {
    let mut text =
        format!("# {}\n\nProvider `{}` · {}\n", recipe.title, recipe.name, group_name(recipe.group));
    let others: Vec<String> =
        aliases_of(&recipe.name).map(|alias| format!("`{}` ({})", alias.name, alias.title)).collect();
    if !others.is_empty() {
        let _ = write!(text, "\nAlso used by: {}\n", others.join(", "));
    }
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{}\n", lines.join("\n"));
        }
    };
    section("Setup", setup::steps(recipe, name));
    section("Settings", settings(recipe, name));
    section("Authentication", with_variables(authentication(recipe), name));
    section("Messages", messages(recipe, name));
    let handshakes = recipe.facts.handshakes.iter();
    let handshakes = handshakes.map(|words| format!("- {words}{}", mark(recipe, "handshake"))).collect();
    section("Handshakes", with_variables(handshakes, name));
    section("Sender behaviour", with_variables(sender(recipe), name));
    let traps = recipe.facts.traps.iter();
    let traps = traps.map(|trap| format!("- {trap}{}", mark(recipe, "traps"))).collect();
    section("Pitfalls", with_variables(traps, name));
    section("References", sources(recipe));
    text
}

/// Returns the overview of all recipes.
#[cfg(test)]
pub fn index<'a>(recipes: impl Iterator<Item = &'a Recipe>) -> String {
    let mut recipes: Vec<&Recipe> = recipes.collect();
    recipes.sort_by_key(|recipe| (recipe.group, recipe.name.clone()));
    let mut text = format!(
        "# Providers\n\ncreel has built-in recipes for {} senders. `creel providers <name>` prints the same pages. For other senders, write a \
         [recipe](../recipes.md).\n",
        recipes.len()
    );
    for of_group in recipes.chunk_by(|before, after| before.group == after.group) {
        let _ = write!(
            text,
            "\n## {}\n\n| provider | name | signed |\n|---|---|---|\n",
            sentence(group_name(of_group[0].group))
        );
        for recipe in of_group {
            let signed = match recipe.coverage {
                Coverage::Full => "the body",
                Coverage::Partial if signs_all_content(recipe) => "the body in another form",
                Coverage::Partial => "part of the body",
                Coverage::None if recipe.signs_body_sometimes() => "the body, or only a token",
                Coverage::None => "not the body",
            };
            let _ = writeln!(
                text,
                "| [{name}]({name}.md) | {title} | {signed} |",
                name = recipe.name,
                title = recipe.title
            );
        }
    }
    text.push_str("\n## Other names\n\nThese senders use the recipe of another provider.\n\n| alias | name | provider |\n|---|---|---|\n");
    for alias in aliases() {
        let _ = writeln!(text, "| {0} | {1} | [{2}]({2}.md) |", alias.name, alias.title, alias.provider);
    }
    text
}

/// Returns the page of the provider `custom`.
pub fn custom_page() -> String {
    let mut text = "# Custom sender\n\nProvider `custom`: one variable for each field of a recipe (docs/recipes.md).\n\n\
        For a source named `my-sender`:\n\n    CREEL_SOURCE_MY_SENDER_PROVIDER=custom\n    CREEL_SOURCE_MY_SENDER_SECRET=…\n\n"
        .to_owned();
    for field in CUSTOM_FIELDS {
        let _ = writeln!(text, "- `CREEL_SOURCE_MY_SENDER_{}`: {}", custom_variable(field.name), field.doc);
    }
    text.push_str("\nRecipes in the file `CREEL_RECIPES` support more fields.\n");
    text
}

fn settings(recipe: &Recipe, name: &str) -> Vec<String> {
    let line = |key: &SettingSpec| {
        let mut notes = Vec::new();
        if key.required {
            notes.push("required".to_owned());
        }
        notes.extend(match key.kind {
            SettingKind::Secret if key.rotates => {
                let name = key.name.to_ascii_uppercase();
                Some(format!("secret; more values in `_{name}_2` … `_{name}_9`"))
            }
            SettingKind::Secret if key.name == PUBLIC_KEY => None,
            SettingKind::Secret => Some("secret".to_owned()),
            SettingKind::Switch => Some("`yes` or `no`".to_owned()),
            SettingKind::List => Some("words separated by white space".to_owned()),
            SettingKind::Text => None,
        });
        notes.extend(key.default.as_ref().map(|default| format!("default `{default}`")));
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        format!("- `{}`: {}{notes}", source_variable(name, &key.name), key.doc)
    };
    let mut lines: Vec<String> = recipe.keys.iter().map(line).collect();
    if let Some(tolerance) = recipe.tolerance {
        let variable = source_variable(name, "tolerance");
        lines.push(format!(
            "- `{variable}`: maximum difference between the signed timestamp and the current time (default {} s){}",
            tolerance.as_secs(),
            mark(recipe, "timestamp")
        ));
    }
    lines
}

fn authentication(recipe: &Recipe) -> Vec<String> {
    let line = |scheme: &SchemeFact| {
        format!("- {}{}", scheme.text, if scheme.is_unconfirmed { UNCONFIRMED } else { "" })
    };
    let mut lines: Vec<String> = recipe.facts.schemes.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("- None: use a random path or an allowlist.".to_owned());
    }
    let coverage: &[&str] = match recipe.coverage {
        _ if recipe.signs_body_sometimes() && may_lack_signing_key(recipe) => {
            &[SOMETIMES_SIGNED, NO_SIGNING_KEY]
        }
        _ if recipe.signs_body_sometimes() => &[SOMETIMES_SIGNED],
        Coverage::Partial if signs_all_content(recipe) => &[CONTENT_SIGNED],
        coverage => &[coverage_in_words(coverage)],
    };
    lines.extend(coverage.iter().map(|words| format!("- {words}")));
    lines
}

/// Whether each signature covers the whole body, as sent or in another form, e.g. with other line
/// breaks.
fn signs_all_content(recipe: &Recipe) -> bool {
    let signatures = &recipe.proofs.signatures;
    let is_content = |text: &Template| text.has_body() || text.has_content_of_body();
    !signatures.is_empty() && signatures.iter().all(|signature| is_content(&signature.scheme.template))
}

/// Text for a recipe whose signatures cover the body in another form.
const CONTENT_SIGNED: &str = "**The signature does not cover the body byte for byte**: see the pitfalls. creel flags these messages `body_unsigned`.";

/// Whether a source can have no key for signatures.
fn may_lack_signing_key(recipe: &Recipe) -> bool {
    let signing = recipe.signing_settings();
    !recipe.keys.iter().any(|key| key.required && signing.contains(&key.name.as_str()))
}

/// Text for a recipe that accepts signatures over the body as well as other proofs.
const SOMETIMES_SIGNED: &str = "A signature covers the body. **The other credentials do not**: anyone with a token or a captured request can send any body. \
     creel flags messages without a signature `body_unsigned`.";

/// Text for such a recipe if a source can have a token alone.
const NO_SIGNING_KEY: &str = "Without the key for signatures, creel cannot verify signatures and ignores even wrong ones; `creel check` names the missing setting.";

/// Describes how much of the body the signature covers.
const fn coverage_in_words(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::Full => "The signature covers the body.",
        Coverage::Partial => {
            "**The signature covers only part of the body**: the rest can be changed without detection. creel flags these messages `body_unsigned`."
        }
        Coverage::None => {
            "**The body is not signed**: anyone with the credentials or a captured request can send any body. creel flags these messages `body_unsigned`."
        }
    }
}

fn messages(recipe: &Recipe, name: &str) -> Vec<String> {
    let facts = &recipe.facts;
    let mut lines = Vec::new();
    lines.push(match facts.event_type.is_empty() {
        true => "- Event type: `message`; creel reads no type from the request.".to_owned(),
        false => {
            let action = match facts.event_action.is_empty() {
                true => String::new(),
                false => {
                    let places = alternatives(&facts.event_action);
                    format!(", followed by {places}{}", mark(recipe, "event_action"))
                }
            };
            format!("- Event type: {}{}{action}", alternatives(&facts.event_type), mark(recipe, "event_type"))
        }
    });
    lines.push(match facts.delivery_id.is_empty() {
        true => format!(
            "- Delivery id: none; duplicates are not dropped unless `{}` is set.",
            source_variable(name, "dedupe")
        ),
        false => format!("- Delivery id: {}{}", parts(&facts.delivery_id), mark(recipe, "delivery_id")),
    });
    if recipe.cloud_event.is_some() {
        lines.push(
            "- CloudEvents: the event type is `type`, and the delivery id is built from `source` and `id`, read from the \
             percent-decoded headers or from the body. A batch has the type of its first event and an id built from all events."
                .to_owned(),
        );
    }
    if recipe.methods != ["POST"] {
        lines.push(format!("- Methods: {}", recipe.methods.join(" and ")));
    }
    lines.extend(replies(recipe));
    lines
}

/// Describes the replies. The last row applies to all causes or events that have no other row.
fn replies(recipe: &Recipe) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &recipe.accepted {
        let messages = match &row.event {
            Some(event) => format!("accepted `{event}` messages"),
            None if lines.is_empty() => "accepted messages".to_owned(),
            None => "other accepted messages".to_owned(),
        };
        let body = if row.reply.body.is_empty() { String::new() } else { format!(" `{}`", row.reply.body) };
        let mark = mark(recipe, "accepted");
        lines.push(format!("- Reply to {messages}: {}{body}{mark}", row.reply.status));
    }
    let usual = recipe.rejected.last().map(|row| row.reply.status);
    let differs = |row: &&RejectedReply| row.causes.is_none() || Some(row.reply.status) != usual;
    let mut other = "";
    for row in recipe.rejected.iter().filter(differs) {
        let causes = row.causes.as_ref().map(|causes| {
            let names: Vec<String> = causes.iter().map(|cause| format!("`{}`", cause.name())).collect();
            format!(" ({})", names.join(", "))
        });
        lines.push(format!(
            "- Reply to {}rejected requests{}: {}{}",
            if causes.is_none() { other } else { "" },
            causes.unwrap_or_default(),
            row.reply.status,
            mark(recipe, "refused")
        ));
        other = "other ";
    }
    lines
}

fn sender(recipe: &Recipe) -> Vec<String> {
    let facts = &recipe.facts;
    let rows = [
        ("Response timeout", &facts.answer_within, "answer_within"),
        ("Retries", &facts.retries, "retries"),
        ("Addresses", &facts.addresses, "addresses"),
        ("Secret rotation", &facts.rotation, "rotation"),
    ];
    let line = |(title, fact, field): (&str, &Option<String>, &str)| {
        fact.as_ref().map(|fact| format!("- {title}: {fact}{}", mark(recipe, field)))
    };
    rows.into_iter().filter_map(line).collect()
}

fn sources(recipe: &Recipe) -> Vec<String> {
    let docs =
        (!recipe.facts.docs.is_empty()).then(|| format!("- <{}>{}", recipe.facts.docs, mark(recipe, "docs")));
    let source = (!recipe.facts.source.is_empty()).then(|| format!("- {}", recipe.facts.source));
    docs.into_iter().chain(source).collect()
}

pub const fn group_name(group: ProviderGroup) -> &'static str {
    match group {
        ProviderGroup::Generic => "generic schemes",
        ProviderGroup::Code => "code, build, operations",
        ProviderGroup::Payments => "payments, banking, billing",
        ProviderGroup::Commerce => "commerce",
        ProviderGroup::Messaging => "messaging, mail, telephony, social",
        ProviderGroup::Content => "productivity, content, files, forms",
        ProviderGroup::Identity => "identity checks, hiring, devices, AI",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::recipes;
    use super::*;

    const MAX_LINE_CHARACTERS: usize = 400;

    #[test]
    fn unconfirmed_facts_are_marked() {
        for recipe in recipes() {
            let page = page(recipe);
            let shown = ["answer_within", "retries", "addresses", "rotation", "delivery_id", "event_type"];
            let has_mark = recipe.facts.unconfirmed.iter().any(|field| shown.contains(&field.as_str()));
            assert!(!has_mark || page.contains(UNCONFIRMED), "{}", recipe.name());
            let has_warning = page.contains("body_unsigned");
            assert_eq!(has_warning, recipe.coverage != Coverage::Full, "{}", recipe.name());
        }
    }

    #[test]
    fn page_mentions_missing_signing_key_only_if_possible() {
        for (name, is_possible) in [("flutterwave", false), ("jira", true)] {
            let page = page(recipes().find(|recipe| recipe.name() == name).unwrap());
            assert!(page.contains(SOMETIMES_SIGNED), "{name}");
            assert_eq!(page.contains(NO_SIGNING_KEY), is_possible, "{name}");
        }
    }

    #[test]
    fn pages_repeat_neither_lines_nor_settings() {
        for recipe in recipes() {
            let page = page(recipe);
            let mut lines = BTreeSet::new();
            for line in page.lines().filter(|line| !line.is_empty()) {
                assert!(lines.insert(line), "{}: {line}", recipe.name());
                assert!(line.chars().count() <= MAX_LINE_CHARACTERS, "{}: {line}", recipe.name());
                let notes = line.matches("`yes` or `no`").count();
                assert!(notes <= 1, "{}: {line}", recipe.name());
            }
            let (_, setup) = page.split_once("## Setup").unwrap();
            let (setup, _) = setup.split_once("\n## ").unwrap();
            let set = setup.split("Set `").skip(1).map(|step| step.split('`').next());
            let mut variables = BTreeSet::new();
            for variable in set {
                assert!(variables.insert(variable), "{}: {variable:?}", recipe.name());
            }
        }
    }
}
