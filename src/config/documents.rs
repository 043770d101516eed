//! `.env.example` and the README's table of variables, made from the table and the recipes.
//! A test compares them with the files; `UPDATE_DOCUMENTS=1 cargo test documents` rewrites them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::table::{Absent, SOURCE_PATTERN, VARIABLES, Variable};
use crate::providers;

const EXAMPLE_HEAD: &str = "\
# Settings of creel, for `docker run --env-file`, compose's `env_file` and systemd's `EnvironmentFile`.
# The binary itself does not read this file: it reads the environment.
# Take away the # in front of what you want to set. `creel check` validates it all.
#
# Every value can also come from a file: CREEL_KEY_FILE=/run/secrets/key instead of CREEL_KEY=...
# Durations: 90s 15m 2h 7d. Sizes: 64KiB 25MiB 1GiB, or plain bytes. Lists: white space between.
";

const EXAMPLE_SOURCES: &str = "
# --- Sources: who may send -------------------------------------------------------------------------
# CREEL_SOURCE_<NAME>_<KEY>; the name in lower case with - for _ is the source: MY_SHOP -> /webhooks/my-shop.
# Without any source the service starts with one, `inbox`, behind a random path that it prints.
# A source that is called after its provider needs nothing but the secret:
#CREEL_SOURCE_GITHUB_SECRET=<paste the secret that you gave to GitHub>
#
# The keys that every source takes, here for a source called `my-shop`:
";

const EXAMPLE_RECIPES: &str = "
# The keys that only some providers take:
";

/// The content of `.env.example`.
pub fn environment_example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    let mut in_sources = false;
    for variable in VARIABLES {
        if variable.name.starts_with(SOURCE_PATTERN) && !in_sources {
            in_sources = true;
            text.push_str(EXAMPLE_SOURCES);
        }
        let name = variable.name.replace("<NAME>", "MY_SHOP");
        let _ = writeln!(text, "\n# {}.\n# Value: {}.", sentence(variable.doc), unit(variable));
        let _ = match variable.absent {
            Absent::Default(_) | Absent::Means("none") => {
                writeln!(text, "#{name}={}", variable.example)
            }
            Absent::Means(words) => {
                writeln!(text, "# Not set: {words}.\n#{name}={}", variable.example)
            }
        };
    }
    text.push_str(EXAMPLE_RECIPES);
    for row in recipe_rows() {
        let name = row.name.replace("<NAME>", "MY_SHOP");
        let _ = writeln!(text, "\n# {}.\n#{name}=", row.doc.replace("; ", ";\n# "));
    }
    text.replace('`', "")
}

/// The README's table, as Markdown.
pub fn readme_table() -> String {
    let mut text = "| variable | default | value | meaning |\n|---|---|---|---|\n".to_owned();
    for variable in VARIABLES {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            variable.name,
            default_cell(variable),
            unit(variable),
            cell(variable.doc)
        );
    }
    for row in recipe_rows() {
        let _ = writeln!(text, "| `{}` | – | {} | {} |", row.name, row.unit, cell(&row.doc));
    }
    text
}

fn default_cell(variable: &Variable) -> String {
    match variable.absent {
        Absent::Default(text) => format!("`{text}`"),
        Absent::Means("none") => "–".to_owned(),
        Absent::Means(words) => words.to_owned(),
    }
}

/// Text between two bars of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn unit(variable: &Variable) -> String {
    let secret = if variable.secret { "; secret" } else { "" };
    format!("{}{secret}", variable.unit)
}

/// A key of recipes.
struct RecipeRow {
    /// With `<NAME>`.
    name: String,
    unit: &'static str,
    doc: String,
}

fn is_secret(key: &str) -> bool {
    let mut keys = providers::recipes().iter().flat_map(|recipe| recipe.keys());
    keys.any(|known| known.secret && known.name.eq_ignore_ascii_case(key))
}

/// The recipes' keys in alphabetical order, each with what it means to which provider.
fn recipe_rows() -> Vec<RecipeRow> {
    let mut meanings: BTreeMap<String, Vec<(String, Vec<&str>)>> = BTreeMap::new();
    for recipe in providers::recipes() {
        for key in recipe.keys() {
            let doc = if key.required { format!("{}, required", key.doc) } else { key.doc.clone() };
            let docs = meanings.entry(key.name.to_ascii_uppercase()).or_default();
            match docs.iter_mut().find(|(known, _)| *known == doc) {
                Some((_, providers)) => providers.push(recipe.name()),
                None => docs.push((doc, vec![recipe.name()])),
            }
        }
    }
    meanings
        .into_iter()
        .map(|(key, docs)| {
            let parts: Vec<String> =
                docs.iter().map(|(doc, providers)| format!("{}: {doc}", providers.join(", "))).collect();
            let mut doc = parts.join("; ");
            if key == "SECRET" {
                doc.push_str("; `_SECRET_2` … `_SECRET_9` are accepted beside it, for rotation");
            }
            let unit = if is_secret(&key) { "text; secret" } else { "text" };
            RecipeRow { name: format!("{SOURCE_PATTERN}{key}"), unit, doc }
        })
        .collect()
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{environment_example, readme_table};
    use crate::config::names;

    const BEGIN: &str = "<!-- configuration -->\n";
    const END: &str = "<!-- /configuration -->";

    /// The file as it should be, written where the developer asks for it.
    fn compare(file: &str, expected: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
            std::fs::write(&path, expected).expect("the file is written");
        }
        let found = std::fs::read_to_string(&path).expect("the file is there");
        assert!(
            found == expected,
            "{file} is not what the code says; run UPDATE_DOCUMENTS=1 cargo test documents"
        );
    }

    #[test]
    fn the_example_of_the_environment_is_what_the_code_says() {
        compare(".env.example", &environment_example());
    }

    #[test]
    fn the_readmes_table_is_what_the_code_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(path).expect("README.md is there");
        let (before, rest) = readme.split_once(BEGIN).expect("README.md has the mark where the table begins");
        let (_, after) = rest.split_once(END).expect("README.md has the mark where the table ends");
        compare("README.md", &format!("{before}{BEGIN}{}{END}{after}", readme_table()));
    }

    #[test]
    fn every_name_in_the_example_is_known() {
        let text = environment_example();
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#CREEL_")?.split_once('='))
            .map(|(name, _)| name)
            .collect();
        assert!(names.len() > 25, "{names:?}");
        for name in names {
            let meaning = names::read(&format!("CREEL_{name}"));
            assert!(matches!(meaning, Some(Ok(_))), "CREEL_{name}: {meaning:?}");
        }
    }
}
