//! Who may use whom, read from the source: the arrows of ARCHITECTURE.md.

use std::path::{Path, PathBuf};

/// A module and those that it may use.
const ARROWS: [(&str, &[&str]); 12] = [
    ("cli", &["app", "cleanup", "config", "json", "outbound", "providers", "store"]),
    ("app", &["cleanup", "config", "deliver", "http", "outbound", "providers", "store"]),
    ("http", &["config", "json", "outbound", "providers", "store"]),
    ("deliver", &["config", "json", "outbound", "providers", "store"]),
    ("cleanup", &["config", "store"]),
    ("config", &["json", "providers", "store"]),
    ("providers", &["content", "json", "scheme"]),
    ("scheme", &["content", "json"]),
    ("content", &["json"]),
    ("store", &["json"]),
    ("outbound", &["json"]),
    ("json", &[]),
];

/// A word that only some modules may say.
const OWNED: [(&str, &[&str]); 6] = [
    ("rusqlite", &["store"]),
    ("r2d2", &["store"]),
    ("actix_web", &["app", "http"]),
    ("actix_http", &["app", "http"]),
    ("reqwest", &["outbound"]),
    ("std::env", &["cli", "config"]),
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

/// The code of a module, without comments, a line at a time with where it is.
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

#[test]
fn modules_use_only_what_the_arrows_allow() {
    let all: Vec<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    let mut wrong = Vec::new();
    for (module, allowed) in ARROWS {
        for (place, line) in lines_of(module) {
            let names = all.iter().filter(|name| **name != module && !allowed.contains(name));
            wrong.extend(
                names
                    .filter(|name| line.contains(&format!("crate::{name}")))
                    .map(|name| format!("{place}: {name}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
fn a_library_is_named_only_by_the_module_that_owns_it() {
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
fn every_module_says_what_it_owns_and_files_stay_short() {
    for (module, _) in ARROWS {
        for path in sources(&src().join(module)) {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} does not say what it is", path.display());
            let length = text.lines().count();
            assert!(length <= 400, "{} has {length} lines", path.display());
        }
    }
}
