//! Resolves the names in each source file, read with `syn`, to the files that define them.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// A module path without `crate`, or a path as written in the source.
type Path = Vec<String>;

/// All modules of a crate and the names that they use.
#[derive(Default)]
pub struct Crate {
    modules: BTreeMap<Path, Module>,
    pub references: Vec<Reference>,
}

#[derive(Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    /// Names that a macro invocation may define.
    generated: BTreeSet<String>,
    children: BTreeSet<String>,
    imports: BTreeMap<String, Path>,
    globs: Vec<Path>,
}

/// A path in the source.
#[derive(Clone, Debug)]
pub struct Reference {
    pub file: String,
    pub line: usize,
    pub is_test: bool,
    module: Path,
    path: Path,
    is_reexport: bool,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path.join("::"))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Target {
    Module(Path),
    /// The module of the item and the file that defines it.
    Item(String, Path),
}

impl Crate {
    /// Parses `files`, whose keys are paths below `src` that begin with `lib.rs`.
    pub fn read(files: &BTreeMap<String, String>) -> Self {
        let mut this = Self::default();
        this.load(files, "lib.rs", Path::new(), false);
        this
    }

    /// The file of the item that a reference names. `None` for other crates, for modules
    /// themselves, and for children that a module only re-exports.
    pub fn file_of(&self, reference: &Reference) -> Option<String> {
        match self.resolve(&reference.module, &reference.path, &mut Vec::new())? {
            Target::Module(_) => None,
            Target::Item(_, module) if reference.is_reexport && module.starts_with(&reference.module) => None,
            Target::Item(file, _) => Some(file),
        }
    }

    /// The top-level module that a reference names with `crate::` or `super::`.
    pub fn top_level_of(&self, reference: &Reference) -> Option<String> {
        let name = self.absolute_name_of(reference)?;
        let first = name.split("::").next().unwrap_or_default().to_owned();
        self.modules.contains_key(&vec![first.clone()]).then_some(first)
    }

    /// The path from the root of the crate, of a reference with `crate::` or `super::`.
    pub fn absolute_name_of(&self, reference: &Reference) -> Option<String> {
        let (module, rest) = start(&reference.module, &reference.path)?;
        let names: Vec<&str> = module.iter().chain(rest).map(String::as_str).collect();
        Some(names.join("::"))
    }

    /// Whether a path that begins in this crate resolves to an item.
    pub fn is_resolved(&self, reference: &Reference) -> bool {
        start(&reference.module, &reference.path).is_none()
            || self.resolve(&reference.module, &reference.path, &mut Vec::new()).is_some()
    }

    fn load(&mut self, files: &BTreeMap<String, String>, file: &str, module: Path, is_test: bool) {
        let Some(text) = files.get(file) else { panic!("{file} does not exist") };
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.collect(files, file, module, &parsed.items, is_test);
    }

    fn collect(
        &mut self,
        files: &BTreeMap<String, String>,
        file: &str,
        module: Path,
        items: &[Item],
        is_test: bool,
    ) {
        self.modules.insert(module.clone(), Module { file: file.to_owned(), ..Module::default() });
        for item in items {
            let is_test = is_test || is_for_tests(attributes(item));
            if let Item::Mod(child) = item {
                let name = child.ident.to_string();
                let path: Path = module.iter().cloned().chain([name.clone()]).collect();
                match &child.content {
                    Some((_, items)) => self.collect(files, file, path, items, is_test),
                    None => self.load(files, &file_of_child(files, file, &name, &child.attrs), path, is_test),
                }
                self.module(&module).children.insert(name);
                continue;
            }
            if let Some(name) = name_of(item) {
                self.module(&module).items.insert(name);
            } else if let Item::Macro(item) = item {
                let generated = &mut self.module(&module).generated;
                collect_idents(item.mac.tokens.clone(), generated);
            }
            let mut names =
                Names { file, module: &module, is_test, imports: Vec::new(), references: Vec::new() };
            names.visit_item(item);
            let Names { imports, references, .. } = names;
            self.references.extend(references);
            let module = self.module(&module);
            for (name, path) in imports {
                match name {
                    Some(name) => drop(module.imports.entry(name).or_insert(path)),
                    None => module.globs.push(path),
                }
            }
        }
    }

    fn module(&mut self, path: &Path) -> &mut Module {
        self.modules.get_mut(path).expect("it was inserted before its items are read")
    }

    fn resolve(&self, from: &Path, path: &[String], seen: &mut Vec<(Path, String)>) -> Option<Target> {
        let (mut module, rest) = match start(from, path) {
            Some((module, rest)) => (module, rest),
            None => (from.clone(), path),
        };
        for (place, name) in rest.iter().enumerate() {
            match self.member(&module, name, place + 1 == rest.len(), seen)? {
                Target::Module(found) => module = found,
                item @ Target::Item(..) => return Some(item),
            }
        }
        (!rest.is_empty()).then_some(Target::Module(module))
    }

    /// A module and a function may share a name: the last segment of a path is the function.
    fn member(
        &self,
        path: &Path,
        name: &str,
        is_last: bool,
        seen: &mut Vec<(Path, String)>,
    ) -> Option<Target> {
        let key = (path.clone(), name.to_owned());
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
        let module = self.modules.get(path)?;
        let child = || {
            let path = path.iter().cloned().chain([name.to_owned()]).collect();
            module.children.contains(name).then_some(Target::Module(path))
        };
        let item = || module.items.contains(name).then(|| Target::Item(module.file.clone(), path.clone()));
        if !is_last && let Some(child) = child() {
            return Some(child);
        }
        if let Some(item) = item() {
            return Some(item);
        }
        if let Some(import) = module.imports.get(name)
            && let Some(target) = self.resolve(path, import, seen)
        {
            return Some(target);
        }
        let globs = || {
            module.globs.iter().find_map(|glob| match self.resolve(path, glob, seen)? {
                Target::Module(module) => self.member(&module, name, is_last, seen),
                Target::Item(..) => None,
            })
        };
        let generated =
            || module.generated.contains(name).then(|| Target::Item(module.file.clone(), path.clone()));
        child().or_else(globs).or_else(generated)
    }
}

/// The module at which a path with `crate`, `self` or `super` begins, and the rest of the path.
fn start<'a>(from: &Path, path: &'a [String]) -> Option<(Path, &'a [String])> {
    let (mut module, mut rest) = match path.first()?.as_str() {
        "crate" => return Some((Path::new(), &path[1..])),
        "self" => (from.clone(), &path[1..]),
        "super" => (from.clone(), path),
        _ => return None,
    };
    while rest.first().is_some_and(|name| name == "super") {
        module.pop();
        rest = &rest[1..];
    }
    Some((module, rest))
}

/// The paths in one item.
struct Names<'a> {
    file: &'a str,
    module: &'a Path,
    is_test: bool,
    /// `None` for a glob.
    imports: Vec<(Option<String>, Path)>,
    references: Vec<Reference>,
}

impl Names<'_> {
    fn add(&mut self, path: Path, line: usize, is_reexport: bool) {
        let (file, module, is_test) = (self.file.to_owned(), self.module.clone(), self.is_test);
        self.references.push(Reference { file, line, is_test, module, path, is_reexport });
    }

    fn add_tree(&mut self, tree: &UseTree, before: &Path, is_reexport: bool) {
        let with = |name: &syn::Ident| -> Path { before.iter().cloned().chain([name.to_string()]).collect() };
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident), is_reexport),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(tree, before, is_reexport));
            }
            UseTree::Glob(_) => self.imports.push((None, before.clone())),
            UseTree::Name(name) => {
                let path = if name.ident == "self" { before.clone() } else { with(&name.ident) };
                self.add_import(path.last().cloned(), path, &name.ident, is_reexport);
            }
            UseTree::Rename(rename) => {
                let path = if rename.ident == "self" { before.clone() } else { with(&rename.ident) };
                self.add_import(Some(rename.rename.to_string()), path, &rename.ident, is_reexport);
            }
        }
    }

    fn add_import(&mut self, name: Option<String>, path: Path, ident: &syn::Ident, is_reexport: bool) {
        self.add(path.clone(), ident.span().start().line, is_reexport);
        self.imports.push((name, path));
    }

    /// Macros are not expanded: each path in their tokens counts.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path = Path::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add_path(std::mem::take(&mut path), line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.add_path(std::mem::take(&mut path), line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add_path(path, line);
    }

    /// A single lower-case word is nearly always a variable.
    fn add_path(&mut self, path: Path, line: usize) {
        let is_type = |name: &String| name.starts_with(char::is_uppercase);
        if path.len() > 1 || path.first().is_some_and(is_type) {
            self.add(path, line, false);
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let before = self.is_test;
        self.is_test |= is_for_tests(attributes(item));
        visit::visit_item(self, item);
        self.is_test = before;
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        let before = self.is_test;
        self.is_test |= is_for_tests(&function.attrs);
        visit::visit_impl_item_fn(self, function);
        self.is_test = before;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        self.add_tree(&item.tree, &Path::new(), is_reexport);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Path = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.add_path(names, line);
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
        {
            self.add(vec![name.to_string()], name.span().start().line, false);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    /// `#[serde(with = "module")]` contains a path in a string.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        let line = list.path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.add_tokens(list.tokens.clone());
        for token in list.tokens.clone() {
            if let TokenTree::Literal(literal) = token
                && let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string())
                && let Ok(path) = text.parse::<syn::Path>()
            {
                let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
                self.add_path(names, line);
            }
        }
    }
}

fn collect_idents(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => drop(found.insert(ident.to_string())),
            TokenTree::Group(group) => collect_idents(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn file_of_child(
    files: &BTreeMap<String, String>,
    file: &str,
    name: &str,
    attributes: &[Attribute],
) -> String {
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let inside = |directory: &str, name: &str| {
        if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
    };
    let given = attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    if let Some(given) = given {
        return inside(directory, &given);
    }
    let base = match file {
        "lib.rs" => String::new(),
        _ if file.ends_with("/mod.rs") => directory.to_owned(),
        _ => file.trim_end_matches(".rs").to_owned(),
    };
    let flat = inside(&base, &format!("{name}.rs"));
    if files.contains_key(&flat) { flat } else { inside(&base, &format!("{name}/mod.rs")) }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
