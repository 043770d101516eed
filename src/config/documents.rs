//! `.env.example` and the README's table of variables, made from the table and the recipes.
//! A test compares them with the files; `UPDATE_DOCUMENTS=1 cargo test documents` rewrites them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::noun::Noun;
use super::table::{self, Absent, Variable};
use crate::providers;

const EXAMPLE_SOURCE: &str = "MY_SHOP";
const EXAMPLE_TARGET: &str = "APP";

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

const EXAMPLE_TARGETS: &str = "
# --- Targets: where messages go --------------------------------------------------------------------
# CREEL_TARGET_<NAME>_<KEY>; the name in lower case with - for _ is the target. Its URL or command is enough:
# it then gets every message. Here for a target called `app`:
";

/// The content of `.env.example`.
pub fn environment_example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    for variable in table::globals() {
        text.push_str(&example(variable, ""));
    }
    text.push_str(EXAMPLE_SOURCES);
    for (_, variable) in table::keys(Noun::Source) {
        text.push_str(&example(variable, EXAMPLE_SOURCE));
    }
    text.push_str(EXAMPLE_RECIPES);
    for row in recipe_rows() {
        let name = row.name.replace("<NAME>", EXAMPLE_SOURCE);
        let _ = writeln!(text, "\n# {}.\n#{name}=", row.doc.replace("; ", ";\n# "));
    }
    text.push_str(EXAMPLE_TARGETS);
    for (_, variable) in table::keys(Noun::Target) {
        text.push_str(&example(variable, EXAMPLE_TARGET));
    }
    text.replace('`', "")
}

/// What a variable means, and how it is written.
fn example(variable: &Variable, of: &str) -> String {
    let name = variable.name.replace("<NAME>", of);
    let absent = match variable.absent {
        Absent::Default(_) | Absent::Means("none") => String::new(),
        Absent::Means(words) => format!("# Not set: {words}.\n"),
    };
    format!(
        "\n# {}.\n# Value: {}.\n{absent}#{name}={}\n",
        sentence(variable.doc),
        unit(variable),
        variable.example
    )
}

/// The README's table, as Markdown.
pub fn readme_table() -> String {
    let mut text = "| variable | default | value | meaning |\n|---|---|---|---|\n".to_owned();
    let sources = table::keys(Noun::Source).map(|(_, variable)| variable);
    for variable in table::globals().chain(sources) {
        text.push_str(&row(variable));
    }
    for row in recipe_rows() {
        let _ = writeln!(text, "| `{}` | – | {} | {} |", row.name, row.unit, cell(&row.doc));
    }
    for (_, variable) in table::keys(Noun::Target) {
        text.push_str(&row(variable));
    }
    text
}

fn row(variable: &Variable) -> String {
    format!(
        "| `{}` | {} | {} | {} |\n",
        variable.name,
        default_cell(variable),
        unit(variable),
        cell(variable.doc)
    )
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
    let mut keys = providers::recipes().flat_map(|recipe| recipe.keys());
    keys.any(|known| known.secret && known.name.eq_ignore_ascii_case(key))
}

fn rotates(key: &str) -> bool {
    let mut keys = providers::recipes().flat_map(|recipe| recipe.keys());
    keys.any(|known| known.rotates && known.name.eq_ignore_ascii_case(key))
}

/// How many providers of a key are named.
const NAMED_PROVIDERS: usize = 4;

/// The recipes' keys in alphabetical order, each with what it means to the first provider, and whose it is.
fn recipe_rows() -> Vec<RecipeRow> {
    let mut users: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    for recipe in providers::recipes() {
        for key in recipe.keys() {
            users.entry(key.name.to_ascii_uppercase()).or_default().push((recipe.name(), &key.doc));
        }
    }
    let row = |(key, users): (String, Vec<(&str, &str)>)| {
        let mut doc = match key.as_str() {
            "SECRET" => "what the provider signs with or sends along (`creel providers <name>` says where it is found); \
                         `_SECRET_2` … `_SECRET_9` are accepted next to it, for rotation"
                .to_owned(),
            "PUBLIC_KEY" => "the provider's public key, as PEM, base64 or hex".to_owned(),
            _ => users[0].1.to_owned(),
        };
        if key != "SECRET" && rotates(&key) {
            doc.push_str(&format!("; `_{key}_2` … `_{key}_9` are accepted next to it, for rotation"));
        }
        let names: Vec<&str> = users.iter().map(|(name, _)| *name).collect();
        let more = match names.len().saturating_sub(NAMED_PROVIDERS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        doc.push_str(&format!(" ({}{more})", names[..names.len().min(NAMED_PROVIDERS)].join(", ")));
        let unit = if is_secret(&key) { "text; secret" } else { "text" };
        RecipeRow { name: format!("{}{key}", Noun::Source.pattern()), unit, doc }
    };
    let custom = providers::CUSTOM_FIELDS.iter().map(|field| RecipeRow {
        name: format!("{}{}", Noun::Source.pattern(), providers::custom_variable(field.name)),
        unit: "text",
        doc: format!("{} (custom)", field.doc),
    });
    users.into_iter().map(row).chain(custom).collect()
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
    use crate::providers;

    const BEGIN: &str = "<!-- configuration -->\n";
    const END: &str = "<!-- /configuration -->";

    /// The file as it should be, written where the developer asks for it.
    fn compare(file: &str, expected: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
            let folder = path.parent().expect("the file is in a folder");
            std::fs::create_dir_all(folder).expect("the folder is made");
            std::fs::write(&path, expected).expect("the file is written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
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
    fn the_documents_of_all_providers_are_what_their_recipes_say() {
        for recipe in providers::recipes() {
            compare(&format!("docs/providers/{}.md", recipe.name()), &providers::page(recipe));
        }
        compare("docs/providers/custom.md", &providers::custom_page());
        compare("docs/providers/README.md", &providers::index(providers::recipes()));
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers");
        let pages = std::fs::read_dir(folder).expect("the folder is there").count();
        assert_eq!(pages, providers::recipes().len() + 2, "the page of a provider that is gone is left over");
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
            let meaning = names::read(&format!("CREEL_{name}"), |_| None);
            assert!(matches!(meaning, Some(Ok(_))), "CREEL_{name}: {meaning:?}");
        }
    }
}
