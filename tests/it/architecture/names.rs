//! Names of types: no two of one name in the crate, and no bare participles.

use std::collections::BTreeMap;

use proc_macro2::{Ident, TokenTree};
use syn::visit::{self, Visit};

/// Macros that define a type of each name that begins with a capital letter.
const TYPE_MACROS: [&str; 2] = ["ids", "words"];

/// Names that were replaced. A list of endings would also match nouns such as `Setting`.
const PARTICIPLES: [&str; 34] = [
    "Acknowledged",
    "Answered",
    "Asked",
    "Asking",
    "Cached",
    "Counted",
    "Crashed",
    "Deleted",
    "Delivered",
    "Done",
    "Emitted",
    "Ended",
    "Examined",
    "Forgotten",
    "Found",
    "Gone",
    "Judged",
    "Kept",
    "Listening",
    "Outgoing",
    "Passed",
    "Pooled",
    "Prepared",
    "Rechecked",
    "Refreshed",
    "Released",
    "Replayed",
    "Rotated",
    "Seen",
    "Sent",
    "Stored",
    "Synced",
    "Vetted",
    "Written",
];

/// A type and its place, such as `Receipt` and `store/message/insert.rs:20`.
type NamedType = (String, String);

/// Collects the types that a file defines. Associated types have the names that their traits give.
struct TypeNames<'a> {
    file: &'a str,
    names: Vec<NamedType>,
}

impl TypeNames<'_> {
    fn add(&mut self, name: &Ident) {
        self.names.push((name.to_string(), format!("{}:{}", self.file, name.span().start().line)));
    }
}

impl<'ast> Visit<'ast> for TypeNames<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add(&item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let name = item.mac.path.segments.last().map(|segment| segment.ident.to_string());
        if !name.is_some_and(|name| TYPE_MACROS.contains(&name.as_str())) {
            return;
        }
        for token in item.mac.tokens.clone() {
            if let TokenTree::Ident(name) = token
                && name.to_string().starts_with(|first: char| first.is_ascii_uppercase())
            {
                self.add(&name);
            }
        }
    }
}

fn types_of(files: &BTreeMap<String, String>) -> Vec<NamedType> {
    let mut types = Vec::new();
    for (file, text) in files {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut names = TypeNames { file, names: Vec::new() };
        names.visit_file(&parsed);
        types.extend(names.names);
    }
    types
}

/// Returns a line for each name of two or more types.
fn repeated(types: &[NamedType]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, place) in types {
        places.entry(name).or_default().push(place);
    }
    places.retain(|_, places| places.len() > 1);
    places.into_iter().map(|(name, places)| format!("{name}: {}", places.join(", "))).collect()
}

/// Returns a line for each type with a name from the list.
fn participles(types: &[NamedType]) -> Vec<String> {
    let is_participle = |(name, _): &&NamedType| PARTICIPLES.contains(&name.as_str());
    types.iter().filter(is_participle).map(|(name, place)| format!("{name}: {place}")).collect()
}

fn types_of_the_crate() -> Vec<NamedType> {
    let types = types_of(&super::files());
    assert!(types.len() > 500, "only {} types were read", types.len());
    types
}

#[test]
fn type_names_are_unique() {
    let repeated = repeated(&types_of_the_crate());
    assert!(repeated.is_empty(), "{} names:\n{}", repeated.len(), repeated.join("\n"));
}

#[test]
fn type_names_are_nouns() {
    let participles = participles(&types_of_the_crate());
    assert!(participles.is_empty(), "{}", participles.join("\n"));
}

#[test]
fn repeated_and_participle_names_are_found() {
    let files = [
        ("a.rs", "pub struct Reply;\nenum Kept { One }\nimpl Iterator for Reply { type Item = u8; }"),
        (
            "c.rs",
            "ids!(\n/// An id.\nOther);\nuse x::words;\nwords! { Found { One = \"one\" } }\nother!(Reply);",
        ),
        ("b.rs", "fn b() { struct Reply; }\ntype Other = u8;\nimpl Iterator for Other { type Item = u8; }"),
    ];
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let types = types_of(&files);
    assert_eq!(repeated(&types), ["Other: b.rs:2, c.rs:3", "Reply: a.rs:1, b.rs:1"]);
    assert_eq!(participles(&types), ["Kept: a.rs:2", "Found: c.rs:5"]);
}
