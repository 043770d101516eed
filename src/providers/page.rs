//! The page of a provider: setup, authentication and pitfalls. The recipe generates the same text
//! for `creel providers <name>` and for `docs/providers/`, so that page and service cannot differ.

use std::fmt::Write;

#[cfg(test)]
use super::aliases::aliases;
use super::aliases::{Alias, aliases_of};
use super::custom::{CUSTOM_FIELDS, custom_variable};
use super::recipe::{Coverage, ProviderGroup, Recipe};
use super::settings::{SettingKind, SettingSpec};
use crate::scheme::template::Template;

/// Marks facts without a source.
const UNCONFIRMED: &str = " (unconfirmed)";

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
    section("Setup", setup(recipe, name));
    section("Settings", settings(recipe, name));
    section("Authentication", authentication(recipe));
    section("Messages", messages(recipe));
    section(
        "Handshakes",
        recipe
            .facts
            .handshakes
            .iter()
            .map(|words| format!("- {words}{}", mark(recipe, "handshake")))
            .collect(),
    );
    section("Sender behaviour", sender(recipe));
    section(
        "Pitfalls",
        recipe.facts.traps.iter().map(|trap| format!("- {trap}{}", mark(recipe, "traps"))).collect(),
    );
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

fn setup(recipe: &Recipe, name: &str) -> Vec<String> {
    let variable = source_variable(name, "");
    let mut steps = Vec::new();
    let needed: Vec<String> = recipe
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| format!("`{variable}{}`", key.name.to_ascii_uppercase()))
        .collect();
    if !needed.is_empty() {
        steps.push(format!(
            "Set {}. To read a value from a file, add `_FILE` to the variable's name and set it to the path.",
            needed.join(" and ")
        ));
    } else if !recipe.requires.is_empty() {
        let one: Vec<String> =
            recipe.requires.iter().map(|name| format!("`{variable}{}`", name.to_ascii_uppercase())).collect();
        steps.push(format!("Set {}.", one.join(" or ")));
    }
    if recipe.learns() {
        steps.push(format!(
            "Set `{variable}PATH` to the output of `creel secret`. creel learns the secret from the sender's first handshake; `creel learn {}` allows another handshake for ten minutes.",
            name
        ));
    } else if recipe.needs_confirmation() {
        steps.push("Neither a path nor an allowlist is needed: creel confirms each message with the sender's API before it delivers the message.".to_owned());
        steps.extend(api_keys(recipe).map(|key| {
            format!(
                "Set `{variable}{}`: creel uses it for requests to the API.",
                key.name.to_ascii_uppercase()
            )
        }));
    } else if recipe.proofs.are_none() {
        steps.push(format!("Set `{variable}PATH` to the output of `creel secret`, or set `{variable}ALLOW_IPS`: nothing else authenticates the sender."));
    }
    if recipe.signs_url() {
        steps.push(format!(
            "Set `CREEL_PUBLIC_URL`, or set `{variable}URL` to the URL exactly as registered: the signature covers it."
        ));
    }
    let place = recipe.facts.registered_at.as_ref();
    let place = place.map(|place| format!(" ({place}){}", mark(recipe, "where"))).unwrap_or_default();
    steps.push(format!("Run `creel check` to print the URL, and register it with the sender{place}."));
    if recipe.needs_confirmation() {
        steps.push(format!(
            "Run `creel send {}` to send a sample. creel eventually rejects it, because the sender's API has no such message.",
            name
        ));
    } else if !recipe.samples.is_empty() {
        let sample = match recipe.proofs.are_none() {
            true => "This sends a sample.",
            false => "This sends a sample that is signed or authenticated with the source's secret.",
        };
        steps.push(format!("Run `creel send {name}` to test without the sender. {sample}"));
    }
    steps.iter().enumerate().map(|(number, step)| format!("{}. {step}", number + 1)).collect()
}

/// Returns the optional secrets for the API.
fn api_keys(recipe: &Recipe) -> impl Iterator<Item = &SettingSpec> {
    recipe.keys.iter().filter(|key| key.secret && !key.required)
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
    let mark = format!("{}{}", mark(recipe, "signature"), mark(recipe, "token"));
    let mut lines: Vec<String> =
        recipe.facts.schemes.iter().map(|words| format!("- {words}{mark}")).collect();
    if lines.is_empty() {
        lines.push("- None: use a random path or an allowlist.".to_owned());
    }
    lines.push(format!(
        "- {}",
        match recipe.coverage {
            _ if recipe.signs_body_sometimes() => SOMETIMES_SIGNED,
            Coverage::Partial if signs_all_content(recipe) => CONTENT_SIGNED,
            coverage => coverage_in_words(coverage),
        }
    ));
    lines
}

/// Whether each signature covers the whole body in another form, e.g. with other line breaks.
fn signs_all_content(recipe: &Recipe) -> bool {
    let signatures = &recipe.proofs.signatures;
    let is_content = |text: &Template| text.has_body() || text.has_content_of_body();
    !signatures.is_empty() && signatures.iter().all(|signature| is_content(&signature.scheme.template))
}

/// Text for a recipe whose signatures cover the body in another form.
const CONTENT_SIGNED: &str = "**The signature does not cover the body byte for byte**: see the pitfalls. creel flags these messages `body_unsigned`.";

/// Text for a recipe that accepts signatures over the body as well as other proofs.
const SOMETIMES_SIGNED: &str = "A signature covers the body. **The other credentials do not**: anyone with a token or a captured request can send any body. \
    creel flags messages without a signature `body_unsigned`. Without the key for signatures, creel cannot verify signatures and ignores even wrong ones; \
    `creel check` names the missing setting.";

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

fn messages(recipe: &Recipe) -> Vec<String> {
    let facts = &recipe.facts;
    let places = |places: &[String], joint: &str| {
        places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(joint)
    };
    let mut lines = Vec::new();
    lines.push(match facts.event_type.is_empty() {
        true => "- Event type: `message`; creel reads no type from the request.".to_owned(),
        false => {
            let action = match facts.event_action.is_empty() {
                true => String::new(),
                false => {
                    format!(
                        ", followed by {}{}",
                        places(&facts.event_action, " or "),
                        mark(recipe, "event_action")
                    )
                }
            };
            format!(
                "- Event type: {}{}{action}",
                places(&facts.event_type, " or "),
                mark(recipe, "event_type")
            )
        }
    });
    lines.push(match facts.delivery_id.is_empty() {
        true => "- Delivery id: none; duplicates are not dropped unless `_DEDUPE` is set.".to_owned(),
        false => {
            format!("- Delivery id: {}{}", places(&facts.delivery_id, " and "), mark(recipe, "delivery_id"))
        }
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
    for row in &recipe.accepted {
        let event = row.event.as_ref().map(|event| format!(" `{event}`")).unwrap_or_default();
        let body = if row.reply.body.is_empty() { String::new() } else { format!(" `{}`", row.reply.body) };
        lines.push(format!(
            "- Reply to accepted{event} messages: {}{body}{}",
            row.reply.status,
            mark(recipe, "accepted")
        ));
    }
    for row in &recipe.rejected {
        let causes = row.causes.as_ref().map(|causes| {
            format!(" ({})", causes.iter().map(|cause| cause.name()).collect::<Vec<_>>().join(", "))
        });
        lines.push(format!(
            "- Reply to rejected requests{}: {}{}",
            causes.unwrap_or_default(),
            row.reply.status,
            mark(recipe, "refused")
        ));
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

fn mark(recipe: &Recipe, field: &str) -> &'static str {
    if recipe.facts.is_unconfirmed(field) { UNCONFIRMED } else { "" }
}

/// Returns the variable of a source that is named after its provider.
fn source_variable(provider: &str, key: &str) -> String {
    format!("CREEL_SOURCE_{}_{}", provider.to_ascii_uppercase().replace('-', "_"), key.to_ascii_uppercase())
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
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::recipes;
    use super::*;

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
}
