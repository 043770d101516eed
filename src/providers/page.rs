//! The page of a provider: how to set it up, what is signed, what to know. One text for `creel providers <name>` and for
//! `docs/providers/`, made from the recipe, so that it cannot say anything else than what the service does.

use std::fmt::Write;

use super::aliases::{Alias, aliases, aliases_of};
use super::custom::{CUSTOM_FIELDS, custom_variable};
use super::recipe::{Coverage, Group, Recipe};
use super::settings::{Key, Kind};

/// Stands behind what no source confirms.
const UNCONFIRMED: &str = " (unconfirmed)";

/// Markdown that reads well in a terminal, too.
pub fn page(recipe: &Recipe) -> String {
    page_under(recipe, &recipe.name)
}

/// The page of the recipe that an alias resolves to, with the alias in the names of variables.
pub fn page_of_alias(alias: &Alias, recipe: &Recipe) -> String {
    format!(
        "{} ({}) works exactly like the provider `{}`.\n\n{}",
        alias.title,
        alias.name,
        recipe.name,
        page_under(recipe, &alias.name)
    )
}

/// `name` is what the source in the instructions is called.
fn page_under(recipe: &Recipe, name: &str) -> String {
    let mut text =
        format!("# {}\n\nProvider `{}` · {}\n", recipe.title, recipe.name, group_name(recipe.group));
    let others: Vec<String> =
        aliases_of(&recipe.name).map(|alias| format!("`{}` ({})", alias.name, alias.title)).collect();
    if !others.is_empty() {
        let _ = write!(text, "\nAlso for: {}\n", others.join(", "));
    }
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{}\n", lines.join("\n"));
        }
    };
    section("Set it up", setup(recipe, name));
    section("Settings", settings(recipe, name));
    section("What proves the sender", proof(recipe));
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
    section("The sender", sender(recipe));
    section(
        "Traps",
        recipe.facts.traps.iter().map(|trap| format!("- {trap}{}", mark(recipe, "traps"))).collect(),
    );
    section("Sources", sources(recipe));
    text
}

/// The overview of all recipes.
pub fn index<'a>(recipes: impl Iterator<Item = &'a Recipe>) -> String {
    let mut recipes: Vec<&Recipe> = recipes.collect();
    recipes.sort_by_key(|recipe| (recipe.group, recipe.name.clone()));
    let mut text = format!(
        "# Providers\n\nCreel knows {} kinds of senders. `creel providers <name>` shows the same pages. A sender that is not here can be \
         described: see [recipes](../recipes.md).\n",
        recipes.len()
    );
    for of_group in recipes.chunk_by(|before, after| before.group == after.group) {
        let _ = write!(
            text,
            "\n## {}\n\n| provider | | signed |\n|---|---|---|\n",
            sentence(group_name(of_group[0].group))
        );
        for recipe in of_group {
            let signed = match recipe.coverage {
                Coverage::Full => "the body",
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
    text.push_str("\n## Other names\n\nThese senders need no recipe of their own.\n\n| name | | provider |\n|---|---|---|\n");
    for alias in aliases() {
        let _ = writeln!(text, "| {0} | {1} | [{2}]({2}.md) |", alias.name, alias.title, alias.provider);
    }
    text
}

/// What a sender of one's own is described by.
pub fn custom_page() -> String {
    let mut text = "# Your own sender\n\nProvider `custom`: the fields of a recipe (docs/recipes.md), one variable each.\n\n\
        For a source called `my-sender`:\n\n    CREEL_SOURCE_MY_SENDER_PROVIDER=custom\n    CREEL_SOURCE_MY_SENDER_SECRET=…\n\n"
        .to_owned();
    for field in CUSTOM_FIELDS {
        let _ = writeln!(text, "- `CREEL_SOURCE_MY_SENDER_{}`: {}", custom_variable(field.name), field.doc);
    }
    text.push_str("\n`CREEL_RECIPES` names a file with whole recipes, which can say more.\n");
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
        steps.push(format!("Set {} (each also as `…_FILE`).", needed.join(" and ")));
    } else if !recipe.requires.is_empty() {
        let one: Vec<String> =
            recipe.requires.iter().map(|name| format!("`{variable}{}`", name.to_ascii_uppercase())).collect();
        steps.push(format!("Set {}.", one.join(" or ")));
    }
    if recipe.learns() {
        steps.push(format!(
            "Set `{variable}PATH` to what `creel secret` prints: the sender's handshake teaches the secret, once. `creel learn {}` opens the window again for ten minutes.",
            name
        ));
    } else if recipe.asks_provider() {
        steps.push("Neither path nor allowlist is needed: the sender's API is asked about each message before anything is done with it.".to_owned());
        steps.extend(asking_keys(recipe).map(|key| {
            format!("Set `{variable}{}`: the API is asked with it.", key.name.to_ascii_uppercase())
        }));
    } else if recipe.proofs.are_none() {
        steps.push(format!("Set `{variable}PATH` to what `creel secret` prints, or `{variable}ALLOW_IPS`: nothing else proves the sender."));
    }
    if recipe.signs_url() {
        steps.push(format!(
            "Set `CREEL_PUBLIC_URL`, or `{variable}URL` to the URL exactly as registered: it is signed."
        ));
    }
    let place = recipe.facts.registered_at.as_ref();
    let place = place.map(|place| format!(" ({place}){}", mark(recipe, "where"))).unwrap_or_default();
    steps.push(format!("`creel check` prints the URL; register it at the sender{place}."));
    if recipe.asks_provider() {
        steps.push(format!(
            "`creel send {}` sends a sample; it ends refused, since the sender's API does not know it.",
            name
        ));
    } else if !recipe.samples.is_empty() {
        steps.push(format!(
            "`creel send {}` sends a sample without the sender, where the source has the secret.",
            name
        ));
    }
    steps.iter().enumerate().map(|(number, step)| format!("{}. {step}", number + 1)).collect()
}

/// Secrets that open the API and could be left out.
fn asking_keys(recipe: &Recipe) -> impl Iterator<Item = &Key> {
    recipe.keys.iter().filter(|key| key.secret && !key.required)
}

fn settings(recipe: &Recipe, name: &str) -> Vec<String> {
    let line = |key: &Key| {
        let mut notes = Vec::new();
        if key.required {
            notes.push("required".to_owned());
        }
        notes.extend(match key.kind {
            Kind::Secret if key.rotates => {
                let name = key.name.to_ascii_uppercase();
                Some(format!("secret; `_{name}_2` … `_{name}_9` beside it"))
            }
            Kind::Secret => Some("secret".to_owned()),
            Kind::Switch => Some("`yes` or `no`".to_owned()),
            Kind::List => Some("words with white space between".to_owned()),
            Kind::Text => None,
        });
        notes.extend(key.default.as_ref().map(|default| format!("default `{default}`")));
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        format!("- `{}`: {}{notes}", source_variable(name, &key.name), key.doc)
    };
    let mut lines: Vec<String> = recipe.keys.iter().map(line).collect();
    if let Some(tolerance) = recipe.tolerance {
        let variable = source_variable(name, "tolerance");
        lines.push(format!(
            "- `{variable}`: how far the signed time may be from now (default {} s){}",
            tolerance.as_secs(),
            mark(recipe, "timestamp")
        ));
    }
    lines
}

fn proof(recipe: &Recipe) -> Vec<String> {
    let mark = format!("{}{}", mark(recipe, "signature"), mark(recipe, "token"));
    let mut lines: Vec<String> =
        recipe.facts.schemes.iter().map(|words| format!("- {words}{mark}")).collect();
    if lines.is_empty() {
        lines.push("- Nothing: only a random path or an allowlist.".to_owned());
    }
    lines.push(format!(
        "- {}",
        if recipe.signs_body_sometimes() { SOMETIMES_SIGNED } else { coverage_in_words(recipe.coverage) }
    ));
    lines
}

/// Of a recipe that takes signatures over the body as well as other proofs.
const SOMETIMES_SIGNED: &str = "A signature covers the body. **The other proofs do not**: whoever knows one, or captures a request, can send any body. \
    Messages without a signature are flagged `body_unsigned`. Without the key for signatures, creel cannot check them: it ignores even a wrong signature, \
    and `creel check` names the setting.";

/// What a person must know of a signature that does not cover the body.
pub const fn coverage_in_words(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::Full => "The body is covered by the signature.",
        Coverage::Partial => {
            "**Only part of the body is covered by the signature**: the rest could have been changed. Messages are flagged `body_unsigned`."
        }
        Coverage::None => {
            "**The body is not covered**: whoever knows what proves the sender, or captures a request, can send any body. Messages are flagged `body_unsigned`."
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
        true => "- Event: `message`, since the sender names no type.".to_owned(),
        false => {
            let action = match facts.event_action.is_empty() {
                true => String::new(),
                false => {
                    format!(", then {}{}", places(&facts.event_action, " or "), mark(recipe, "event_action"))
                }
            };
            format!("- Event: {}{}{action}", places(&facts.event_type, " or "), mark(recipe, "event_type"))
        }
    });
    lines.push(match facts.delivery_id.is_empty() {
        true => "- Delivery id: none, so nothing is dropped as a duplicate unless `_DEDUPE` asks for it."
            .to_owned(),
        false => {
            format!("- Delivery id: {}{}", places(&facts.delivery_id, " with "), mark(recipe, "delivery_id"))
        }
    });
    if recipe.cloud_event.is_some() {
        lines.push(
            "- A CloudEvent has its `type` as event, and its `source` and `id` as delivery id: out of headers, which are \
             percent-decoded, or out of the body. A batch has the first event's type and an id of all its events."
                .to_owned(),
        );
    }
    if recipe.methods != ["POST"] {
        lines.push(format!("- Methods: {}", recipe.methods.join(" and ")));
    }
    for row in &recipe.accepted {
        let event = row.event.as_ref().map(|event| format!(" to `{event}`")).unwrap_or_default();
        let body = if row.reply.body.is_empty() { String::new() } else { format!(" `{}`", row.reply.body) };
        lines.push(format!("- Reply{event}: {}{body}{}", row.reply.status, mark(recipe, "accepted")));
    }
    for row in &recipe.refused {
        let causes = row.causes.as_ref().map(|causes| {
            format!(" ({})", causes.iter().map(|cause| cause.name()).collect::<Vec<_>>().join(", "))
        });
        lines.push(format!(
            "- Refused{}: {}{}",
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
        ("Wants an answer within", &facts.answer_within, "answer_within"),
        ("Tries again", &facts.retries, "retries"),
        ("Addresses", &facts.addresses, "addresses"),
        ("Rotation of secrets", &facts.rotation, "rotation"),
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

/// The variable of a source that is called after its provider.
fn source_variable(provider: &str, key: &str) -> String {
    format!("CREEL_SOURCE_{}_{}", provider.to_ascii_uppercase().replace('-', "_"), key.to_ascii_uppercase())
}

pub const fn group_name(group: Group) -> &'static str {
    match group {
        Group::Generic => "generic schemes",
        Group::Code => "code, build, operations",
        Group::Payments => "payments, banking, billing",
        Group::Commerce => "commerce",
        Group::Messaging => "messaging, mail, telephony, social",
        Group::Content => "productivity, content, files, forms",
        Group::Identity => "identity checks, hiring, devices, AI",
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::recipes;
    use super::*;

    #[test]
    fn what_no_source_confirms_is_marked_so() {
        for recipe in recipes() {
            let page = page(recipe);
            let shown = ["answer_within", "retries", "addresses", "rotation", "delivery_id", "event_type"];
            let has_mark = recipe.facts.unconfirmed.iter().any(|field| shown.contains(&field.as_str()));
            assert!(!has_mark || page.contains(UNCONFIRMED), "{}", recipe.name());
            let says = page.contains("body_unsigned");
            assert_eq!(says, recipe.coverage != Coverage::Full, "{}", recipe.name());
        }
    }
}
