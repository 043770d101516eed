//! No two files may depend on each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::Crate;

/// The files that each file uses, with a line for each use.
type Graph = BTreeMap<String, BTreeMap<String, usize>>;

fn graph(krate: &Crate) -> Graph {
    let mut graph = Graph::new();
    for reference in krate.references.iter().filter(|reference| !reference.is_test) {
        if let Some(file) = krate.file_of(reference)
            && file != reference.file
        {
            let uses = graph.entry(reference.file.clone()).or_default();
            uses.entry(file).or_insert(reference.line);
        }
    }
    graph
}

/// Returns a shortest cycle through each file that is in one, and only one of the cycles with the
/// same files.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut found: BTreeMap<BTreeSet<String>, Vec<String>> = BTreeMap::new();
    for file in graph.keys() {
        if let Some(circle) = circle_through(graph, file) {
            found.entry(circle.iter().cloned().collect()).or_insert(circle);
        }
    }
    found.into_values().collect()
}

fn circle_through(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        for used in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if used == start {
                let mut circle = vec![file.to_owned()];
                while circle.last().is_some_and(|last| last != start) {
                    let last = circle.last().map(String::as_str).unwrap_or_default();
                    circle.push(before[last].to_owned());
                }
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(used.as_str()) {
                before.insert(used, file);
                waiting.push_back(used);
            }
        }
    }
    None
}

/// Formats a cycle as `a.rs:3 → b.rs:7 → a.rs`, with the lines that use the next file.
fn shown(graph: &Graph, circle: &[String]) -> String {
    let next = |place: usize| &circle[(place + 1) % circle.len()];
    let steps = circle.iter().enumerate().map(|(place, file)| format!("{file}:{}", graph[file][next(place)]));
    format!("{} → {}", steps.collect::<Vec<_>>().join(" → "), circle[0])
}

#[test]
fn no_file_is_in_a_cycle() {
    let graph = graph(&Crate::read(&super::files()));
    assert!(graph.len() > 200, "only {} files were read", graph.len());
    let circles: Vec<String> = circles(&graph).iter().map(|circle| shown(&graph, circle)).collect();
    assert!(circles.is_empty(), "{} cycles:\n{}", circles.len(), circles.join("\n"));
}

/// Unresolved paths could hide cycles.
#[test]
fn paths_in_the_crate_are_resolved() {
    let krate = Crate::read(&super::files());
    let unresolved: Vec<String> = krate
        .references
        .iter()
        .filter(|reference| !reference.is_test && !krate.is_resolved(reference))
        .map(|reference| format!("{}:{}: {reference}", reference.file, reference.line))
        .collect();
    assert!(unresolved.is_empty(), "{}", unresolved.join("\n"));
}

fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let graph = graph(&Crate::read(&files));
    circles(&graph).iter().map(|circle| shown(&graph, circle)).collect()
}

#[test]
fn cycle_of_two_files_is_found() {
    let files = [
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "use crate::b::B;\npub struct A(B);"),
        ("b.rs", "pub struct B;\nimpl B { fn a(_: super::a::A) {} }"),
    ];
    assert_eq!(circles_of(&files), ["a.rs:1 → b.rs:2 → a.rs"]);
}

#[test]
fn cycle_of_three_files_is_found() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;"),
        ("a.rs", "use crate::b::b;\npub fn a() { b(); }"),
        ("b.rs", "use crate::c;\npub fn b() {\n    c::c();\n}"),
        ("c/mod.rs", "pub fn c() { println!(\"{}\", crate::a::a()); }"),
        ("d.rs", "use crate::a::a;\npub fn d() { a(); }"),
    ];
    assert_eq!(circles_of(&files), ["a.rs:1 → b.rs:3 → c/mod.rs:1 → a.rs"]);
}

#[test]
fn cycle_over_reexport_is_found() {
    let files = [
        ("lib.rs", "pub mod store;\nmod user;"),
        ("store/mod.rs", "mod read;\nmod write;\npub use read::{Reader as R, read};"),
        ("store/read.rs", "pub struct Reader;\npub fn read(_: crate::user::User) {}"),
        ("store/write.rs", "pub struct Writer;"),
        ("user.rs", "use crate::store::R;\npub struct User(R);"),
    ];
    assert_eq!(circles_of(&files), ["store/read.rs:2 → user.rs:1 → store/read.rs"]);
}

#[test]
fn cycle_over_nested_group_is_found() {
    let files = [
        ("lib.rs", "mod a;\nmod b;"),
        ("a/mod.rs", "pub mod x;\npub mod y;"),
        ("a/x.rs", "use crate::{a::{self, y}, b::{B, deep::{self, Deep}}};\npub fn x(_: B, _: Deep) {}"),
        ("a/y.rs", ""),
        (
            "b.rs",
            "pub struct B;\npub mod deep {\n    use super::super::a::{x::x as other};\n    pub struct Deep;\n}",
        ),
    ];
    assert_eq!(circles_of(&files), ["a/x.rs:1 → b.rs:3 → a/x.rs"]);
}

#[test]
fn parent_with_code_and_child_form_a_cycle() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod child;\npub use child::Child;\npub struct Parent(Child);"),
        ("a/child.rs", "use super::Parent;\npub struct Child(Box<Parent>);"),
    ];
    assert_eq!(circles_of(&files), ["a/child.rs:1 → a/mod.rs:3 → a/child.rs"]);
}

#[test]
fn tests_and_facades_form_no_cycle() {
    let files = [
        ("lib.rs", "pub mod a;\npub mod b;\npub use a::A;"),
        ("a/mod.rs", "mod deep;\npub mod other;\npub use deep::*;\npub use other::other;"),
        ("a/deep.rs", "use super::other;\npub struct A;\nfn deep() { other(); }"),
        (
            "a/other.rs",
            "pub fn other() { let deep = 1; let _ = deep; }\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nfn helper() -> crate::A { crate::A }",
        ),
        ("a/other/tests.rs", "use crate::a::A;\nuse crate::b::b;"),
        ("b.rs", "use std::fmt;\nuse crate::A;\npub fn b(_: A) -> fmt::Result { Ok(()) }"),
    ];
    assert_eq!(circles_of(&files), [""; 0]);
}
