//! Generates `.env.example` and the tables of `docs/configuration.md` from the table and the
//! recipes. A test compares them with the files; `UPDATE_DOCUMENTS=1 cargo test documents` rewrites
//! the files.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::noun::Noun;
use super::table::{self, AbsentValue, Variable};
use crate::providers::{self, SettingKind};

const EXAMPLE_SOURCE: &str = "MY_SHOP";
const EXAMPLE_TARGET: &str = "APP";
const EXAMPLE_COMMAND: &str = "DEPLOY";

/// Variables of the service that most installations set first.
const FIRST_GLOBALS: [&str; 9] = [
    "CREEL_PUBLIC_URL",
    "CREEL_LISTEN",
    "CREEL_ADMIN_LISTEN",
    "CREEL_TRUSTED_PROXIES",
    "CREEL_ADMIN_TOKEN",
    "CREEL_LISTENER_TOKEN",
    "CREEL_DATABASE",
    "CREEL_RETENTION",
    "CREEL_MAX_DATABASE_SIZE",
];
const FIRST_SOURCE_KEYS: [&str; 4] = ["PROVIDER", "PATH", "RATE", "REPLY_BODY"];
const FIRST_TARGET_KEYS: [&str; 4] = ["URL", "SECRET", "EVENTS", "FILTER"];
const FIRST_COMMAND_KEYS: [&str; 1] = ["EXEC"];

const EXAMPLE_HEAD: &str = "\
# The settings that most installations need first; docs/configuration.md lists all settings.
# Pass this file with `docker run --env-file`, compose's `env_file` or systemd's `EnvironmentFile`; creel
# does not read it itself. Remove the # of a setting to use it; `creel check` validates all settings.
# Secrets can come from files: CREEL_ADMIN_TOKEN_FILE=/run/secrets/admin-token.

# --- Service ---------------------------------------------------------------------------------------
";

const EXAMPLE_SOURCES: &str = "
# --- Sources: senders of webhooks ------------------------------------------------------------------
# CREEL_SOURCE_<NAME>_<KEY>: MY_SHOP receives at /webhooks/my-shop. For most providers, a source
# with the provider's name needs only the secret; `creel providers NAME` lists the settings.
#CREEL_SOURCE_GITHUB_SECRET=<paste the secret set in GitHub>
# A sender that sends a token in a header needs _HEADER, _SECRET and _PROVIDER.
#CREEL_SOURCE_MY_SHOP_HEADER=Shop-Token
#CREEL_SOURCE_MY_SHOP_SECRET=<paste the output of `creel secret`>
";

const EXAMPLE_TARGETS: &str = "
# --- Targets: receivers of messages ----------------------------------------------------------------
# CREEL_TARGET_<NAME>_<KEY>: a URL or a command. By default it receives every message.
";

const EXAMPLE_COMMANDS: &str = "\
# Another target, for a command; it can have _EVENTS and _FILTER, too.
";

/// Returns the content of `.env.example`.
pub fn environment_example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    for name in FIRST_GLOBALS {
        text.push_str(&example(table::variable(name), ""));
    }
    for (head, noun, keys, name) in [
        (EXAMPLE_SOURCES, Noun::Source, FIRST_SOURCE_KEYS.as_slice(), EXAMPLE_SOURCE),
        (EXAMPLE_TARGETS, Noun::Target, FIRST_TARGET_KEYS.as_slice(), EXAMPLE_TARGET),
        (EXAMPLE_COMMANDS, Noun::Target, FIRST_COMMAND_KEYS.as_slice(), EXAMPLE_COMMAND),
    ] {
        text.push_str(head);
        for key in keys {
            text.push_str(&example(table::variable(&format!("{}{key}", noun.pattern())), name));
        }
    }
    text.replace('`', "")
}

/// Returns the meaning of a variable, up to the first semicolon, and a commented-out assignment.
fn example(variable: &Variable, name: &str) -> String {
    let meaning = variable.doc.split(';').next().unwrap_or_default();
    format!("# {}.\n#{}={}\n", sentence(meaning), variable.name.replace("<NAME>", name), variable.example)
}

/// Returns the tables of `docs/configuration.md`, as Markdown.
pub fn configuration_tables() -> String {
    let rows =
        |variables: &mut dyn Iterator<Item = &'static Variable>| variables.map(row).collect::<String>();
    let recipes: String = recipe_rows()
        .iter()
        .map(|row| format!("| `{}` | {} | {} |\n", row.name, row.unit, cell(&row.doc)))
        .collect();
    let mut text = String::new();
    for (heading, rows) in [
        ("Service", rows(&mut table::globals())),
        ("Sources", rows(&mut table::keys(Noun::Source).map(|(_, variable)| variable))),
        ("Targets", rows(&mut table::keys(Noun::Target).map(|(_, variable)| variable))),
    ] {
        let _ = write!(text, "\n## {heading}\n{HEADER}{rows}");
    }
    let _ = write!(text, "\n## Keys of providers\n{RECIPE_HEADER}{recipes}\n");
    text
}

const HEADER: &str = "| variable | default | value | meaning |\n|---|---|---|---|\n";
const RECIPE_HEADER: &str = "| variable | value | meaning |\n|---|---|---|\n";

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
        AbsentValue::Default(text) => format!("`{text}`"),
        AbsentValue::Means("none") => "–".to_owned(),
        AbsentValue::Means(words) => words.to_owned(),
    }
}

/// Escapes text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn unit(variable: &Variable) -> String {
    let secret = if variable.secret { "; secret" } else { "" };
    format!("{}{secret}", variable.unit)
}

/// A key that recipes declare, or a field of custom sources.
struct RecipeRow {
    /// The name of the variable, with `<NAME>`.
    name: String,
    unit: &'static str,
    doc: String,
}

fn is_secret(key: &str) -> bool {
    let mut keys = providers::recipes().flat_map(|recipe| recipe.keys());
    key != "PUBLIC_KEY" && keys.any(|known| known.secret && known.name.eq_ignore_ascii_case(key))
}

fn is_switch(key: &str) -> bool {
    let mut keys = providers::recipes().flat_map(|recipe| recipe.keys());
    keys.any(|known| known.kind == SettingKind::Switch && known.name.eq_ignore_ascii_case(key))
}

fn rotates(key: &str) -> bool {
    let mut keys = providers::recipes().flat_map(|recipe| recipe.keys());
    keys.any(|known| known.rotates && known.name.eq_ignore_ascii_case(key))
}

/// Limit on the providers that are named for each meaning of a key.
const NAMED_PROVIDERS: usize = 4;

/// Returns the meaning of a key with the names of a few providers.
fn meaning(doc: &str, providers: &[&str]) -> String {
    let named = providers[..providers.len().min(NAMED_PROVIDERS)].join(", ");
    match providers.len().saturating_sub(NAMED_PROVIDERS) {
        0 => format!("{doc} ({named})"),
        more => format!("{doc} ({named} and {more} more)"),
    }
}

/// Returns the keys of recipes in alphabetical order, with each meaning and the providers that use
/// the key so, then the fields of custom sources.
fn recipe_rows() -> Vec<RecipeRow> {
    let mut users: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    for recipe in providers::recipes() {
        for key in recipe.keys() {
            users.entry(key.name.to_ascii_uppercase()).or_default().push((recipe.name(), &key.doc));
        }
    }
    let row = |(key, users): (String, Vec<(&str, &str)>)| {
        let of_all = match key.as_str() {
            "SECRET" => Some(
                "the provider's signing secret or token (`creel providers <name>` shows where to find it)",
            ),
            "PUBLIC_KEY" => Some("the provider's public key, as PEM, base64 or hex"),
            _ => None,
        };
        let mut meanings: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, doc) in users {
            let doc = of_all.unwrap_or(doc);
            match meanings.iter_mut().find(|(known, _)| *known == doc) {
                Some((_, names)) => names.push(name),
                None => meanings.push((doc, vec![name])),
            }
        }
        let meanings: Vec<String> = meanings.iter().map(|(doc, names)| meaning(doc, names)).collect();
        let mut doc = meanings.join("; ");
        if rotates(&key) {
            doc.push_str(&format!("; `_{key}_2` … `_{key}_9` are accepted next to it, for rotation"));
        }
        let unit = if is_secret(&key) {
            "text; secret"
        } else if is_switch(&key) {
            "`yes` or `no`"
        } else {
            "text"
        };
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
    use super::{configuration_tables, environment_example};
    use crate::config::names;
    use crate::providers;

    const BEGIN: &str = "<!-- configuration -->\n";
    const END: &str = "<!-- /configuration -->";

    const CONFIGURATION: &str = "docs/configuration.md";
    const MAX_EXAMPLE_LINES: usize = 60;
    const MAX_README_WORDS: usize = 900;

    /// Writes the file if `UPDATE_DOCUMENTS` is set, and compares it with its expected content.
    fn compare(file: &str, expected: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
            let folder = path.parent().expect("the file has a parent directory");
            std::fs::create_dir_all(folder).expect("the directory is created");
            std::fs::write(&path, expected).expect("the file is written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{file} differs from the code; run UPDATE_DOCUMENTS=1 cargo test documents"
        );
    }

    #[test]
    fn readme_stays_within_word_limit() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(path).expect("README.md exists");
        let words = readme.split_whitespace().count();
        assert!(words <= MAX_README_WORDS, "{words} words");
    }

    #[test]
    fn environment_example_matches_code() {
        let example = environment_example();
        assert!(example.lines().count() <= MAX_EXAMPLE_LINES, "{} lines", example.lines().count());
        compare(".env.example", &example);
    }

    #[test]
    fn configuration_document_matches_code() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIGURATION);
        let document = std::fs::read_to_string(path).expect("the document exists");
        let (before, rest) = document.split_once(BEGIN).expect("a mark starts the tables");
        let (_, after) = rest.split_once(END).expect("a mark ends the tables");
        compare(CONFIGURATION, &format!("{before}{BEGIN}{}{END}{after}", configuration_tables()));
    }

    #[test]
    fn provider_pages_match_recipes() {
        for recipe in providers::recipes() {
            compare(&format!("docs/providers/{}.md", recipe.name()), &providers::page(recipe));
        }
        compare("docs/providers/custom.md", &providers::custom_page());
        compare("docs/providers/README.md", &providers::index(providers::recipes()));
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers");
        let pages = std::fs::read_dir(folder).expect("the directory exists").count();
        assert_eq!(pages, providers::recipes().len() + 2, "a page belongs to no provider");
    }

    #[test]
    fn names_in_environment_example_are_known() {
        let text = environment_example();
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#CREEL_")?.split_once('='))
            .map(|(name, _)| name)
            .collect();
        assert!(names.len() > 15, "{names:?}");
        for name in names {
            let meaning = names::read(&format!("CREEL_{name}"), |_| None);
            assert!(matches!(meaning, Some(Ok(_))), "CREEL_{name}: {meaning:?}");
        }
    }
}
