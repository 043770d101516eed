//! Allowed dependencies between modules, read from the source: the arrows of ARCHITECTURE.md.

mod circles;
mod imports;
mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use imports::Crate;

/// A module and the modules that it may use.
const ARROWS: [(&str, &[&str]); 18] = [
    ("cli", &["api", "app", "cleanup", "config", "json", "outbound", "providers", "query", "store"]),
    (
        "app",
        &[
            "api",
            "cleanup",
            "config",
            "deliver",
            "http",
            "ingest",
            "operate",
            "outbound",
            "providers",
            "request_id",
            "store",
            "verification",
        ],
    ),
    ("api", &["http", "json", "operate", "providers", "query", "request_id", "store", "verification"]),
    ("operate", &["config", "json", "outbound", "providers", "query", "request_id", "store", "verification"]),
    ("ingest", &["config", "http", "json", "providers", "request_id", "store", "verification"]),
    ("verification", &["config", "json", "outbound", "providers", "request_id", "store"]),
    ("http", &["config", "outbound", "providers", "store"]),
    ("deliver", &["config", "json", "outbound", "providers", "store"]),
    ("cleanup", &["config", "store"]),
    ("config", &["json", "providers", "store"]),
    ("providers", &["content", "json", "scheme"]),
    ("scheme", &["content", "json"]),
    ("content", &["json"]),
    ("store", &["json", "query", "request_id"]),
    ("outbound", &["json"]),
    ("query", &["json"]),
    ("json", &[]),
    ("request_id", &[]),
];

/// A module that may use only a part of another one: the command line and the API share the types
/// of requests and replies.
const PARTS: [(&str, &str, &str); 1] = [("cli", "api", "api::types")];

/// A word that only some modules may use.
const OWNED: [(&str, &[&str]); 6] = [
    ("rusqlite", &["store"]),
    ("r2d2", &["store"]),
    ("actix_web", &["api", "app", "http", "ingest"]),
    ("actix_http", &["api", "app", "http", "ingest"]),
    ("reqwest", &["outbound"]),
    // `api`: the test that writes the description of the API.
    ("std::env", &["api", "cli", "config"]),
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The lines of a module without comments, each with its location.
fn lines_of(module: &str) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for path in sources(&src().join(module)) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            lines.push((format!("{}:{}", path.display(), number + 1), code.to_owned()));
        }
    }
    assert!(!lines.is_empty(), "{module} has no source");
    lines
}

/// The text of each source file, by its path below `src`.
fn files() -> BTreeMap<String, String> {
    let text = |path: PathBuf| {
        let name = path.strip_prefix(src()).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    sources(&src()).into_iter().map(text).collect()
}

#[test]
fn modules_use_only_the_allowed_modules() {
    let krate = Crate::read(&files());
    let mut wrong = Vec::new();
    for reference in &krate.references {
        let Some(used) = krate.top_level_of(reference) else { continue };
        let Some((module, _)) = reference.file.split_once('/') else { continue };
        let allowed = ARROWS.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
        if used != module && !allowed.is_some_and(|allowed| allowed.contains(&used.as_str())) {
            wrong.push(format!("{}:{}: {used}", reference.file, reference.line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn command_line_uses_only_types_of_api() {
    let krate = Crate::read(&files());
    for (module, used, part) in PARTS {
        let of_module = krate.references.iter().filter(|one| one.file.starts_with(&format!("{module}/")));
        let names = of_module.filter_map(|one| Some((one, krate.absolute_name_of(one)?)));
        let (allowed, wrong): (Vec<_>, Vec<_>) = names
            .filter(|(_, name)| name == used || name.starts_with(&format!("{used}::")))
            .partition(|(_, name)| name == part || name.starts_with(&format!("{part}::")));
        assert!(!allowed.is_empty(), "{module} does not use {part}");
        let wrong: Vec<String> =
            wrong.iter().map(|(one, name)| format!("{}:{}: {name}", one.file, one.line)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn every_module_has_its_arrows() {
    let lib = std::fs::read_to_string(src().join("lib.rs")).unwrap();
    let modules: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    for module in &modules {
        assert!(ARROWS.iter().any(|(name, _)| name == module), "{module}");
    }
    assert_eq!(modules.len(), ARROWS.len());
}

#[test]
fn library_is_named_only_by_its_owner() {
    let mut wrong = Vec::new();
    for (module, _) in ARROWS {
        for (place, line) in lines_of(module) {
            let says =
                |word: &str| line.contains(&format!("{word}::")) || line.contains(&format!("use {word}"));
            let words = OWNED.iter().filter(|(word, owners)| !owners.contains(&module) && says(word));
            wrong.extend(words.map(|(word, _)| format!("{place}: {word}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_begin_with_doc_comment_and_files_stay_short() {
    for (module, _) in ARROWS {
        for path in sources(&src().join(module)) {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} has no description", path.display());
            let length = text.lines().count();
            assert!(length <= 400, "{} has {length} lines", path.display());
        }
    }
}
