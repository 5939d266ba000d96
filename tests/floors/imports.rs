//! Reads what a file imports: the paths in its `use` items, its code and its macros, each with its
//! line.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::{
    Attribute, Item, ItemMacro, ItemMod, UseTree,
    visit::{self, Visit},
};

/// The path of a module from the root of its crate.
pub type ModulePath = Vec<String>;

/// A path that a file names.
#[derive(Debug)]
pub struct Import {
    /// The module that names it.
    pub module: ModulePath,
    pub words: Vec<String>,
    pub line: usize,
    /// Whether the first word is `crate`, `super`, `self`, a module or a crate. In code it can also
    /// be a local name.
    pub is_absolute: bool,
    /// Whether only builds of the tests contain it.
    pub in_test: bool,
}

/// What a module defines, as far as it decides where a path leads.
#[derive(Debug, Default)]
pub struct Module {
    /// The names that `use` items bring in, and their paths.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// The modules all of whose names are brought in.
    pub globs: Vec<Vec<String>>,
    /// The macros that it defines.
    pub macros: BTreeSet<String>,
    /// The macros whose names are at the root of the crate.
    pub exported: BTreeSet<String>,
    /// The modules in other files that only builds of the tests contain.
    pub test_files: BTreeSet<String>,
}

/// Reads one file, which is the module `module`.
pub fn read(source: &str, module: &[String]) -> syn::Result<Reader> {
    let mut reader = Reader { module: module.to_vec(), ..Reader::default() };
    reader.modules.insert(module.to_vec(), Module::default());
    reader.visit_file(&syn::parse_file(source)?);
    Ok(reader)
}

/// The imports and the modules of one file.
#[derive(Debug, Default)]
pub struct Reader {
    pub imports: Vec<Import>,
    pub modules: BTreeMap<ModulePath, Module>,
    module: ModulePath,
    in_test: bool,
}

impl Reader {
    fn here(&mut self) -> &mut Module {
        self.modules.entry(self.module.clone()).or_default()
    }

    fn add(&mut self, words: Vec<String>, line: usize, is_absolute: bool) {
        let (module, in_test) = (self.module.clone(), self.in_test);
        self.imports.push(Import { module, words, line, is_absolute, in_test });
    }

    fn add_tree(&mut self, tree: &UseTree, mut words: Vec<String>) {
        let (ident, name) = match tree {
            UseTree::Path(tree) => {
                words.push(tree.ident.to_string());
                return self.add_tree(&tree.tree, words);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.add_tree(tree, words.clone()));
            }
            UseTree::Glob(glob) => {
                self.add(words.clone(), glob.star_token.spans[0].start().line, true);
                return self.here().globs.push(words);
            }
            UseTree::Name(name) => (&name.ident, name.ident.to_string()),
            UseTree::Rename(rename) => (&rename.ident, rename.rename.to_string()),
        };
        if ident != "self" {
            words.push(ident.to_string());
        }
        let name = if name == "self" { words.last().cloned().unwrap_or_default() } else { name };
        self.add(words.clone(), ident.span().start().line, true);
        self.here().aliases.insert(name, words);
    }

    /// Adds the paths in the tokens of a macro, each of which begins with `prefix`.
    fn add_tokens(&mut self, tokens: TokenStream, prefix: &[String]) {
        let mut tokens = tokens.into_iter().peekable();
        let mut words = prefix.to_vec();
        // Whether the next word continues `words`.
        let mut continues = !prefix.is_empty();
        while let Some(token) = tokens.next() {
            let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
            match token {
                TokenTree::Ident(ident) => {
                    if !continues {
                        words = prefix.to_vec();
                    }
                    words.push(ident.to_string());
                    continues = false;
                    if words.len() > 1 && !is_colon(tokens.peek()) {
                        self.add(words.clone(), ident.span().start().line, false);
                    }
                }
                TokenTree::Group(group) => {
                    // Of `a::{b, c}`, each path begins with `a`.
                    let is_tree = continues && group.delimiter() == Delimiter::Brace;
                    self.add_tokens(group.stream(), if is_tree { &words } else { &[] });
                    continues = false;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    continues = punct.spacing() == Spacing::Joint && is_colon(tokens.peek());
                    if continues {
                        tokens.next();
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    words = prefix.to_vec();
                    continues = !prefix.is_empty();
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Const(item) => &item.attrs,
            Item::ExternCrate(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        let outside = self.in_test;
        self.in_test |= attributes.iter().any(is_for_tests);
        match item {
            Item::Use(item) => self.add_tree(&item.tree, Vec::new()),
            _ => visit::visit_item(self, item),
        }
        self.in_test = outside;
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        if item.content.is_some() {
            self.module.push(name);
            self.here();
            visit::visit_item_mod(self, item);
            self.module.pop();
            return;
        }
        if self.in_test {
            self.here().test_files.insert(name.clone());
        }
        // Programs that share a directory have modules beside them.
        self.here().aliases.insert(name.clone(), vec!["crate".to_owned(), name]);
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        if let Some(name) = item.ident.as_ref().map(ToString::to_string) {
            if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
                self.here().exported.insert(name.clone());
            }
            self.here().macros.insert(name);
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let words = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let line = path.segments[0].ident.span().start().line;
            self.add(words, line, path.leading_colon.is_some());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.add_tokens(call.tokens.clone(), &[]);
    }

    /// Attributes import nothing.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// Returns whether an attribute leaves its item out of everything but builds of the tests: it is
/// `cfg(test)` or `cfg(all(test, …))`.
fn is_for_tests(attribute: &Attribute) -> bool {
    let Ok(list) = attribute.meta.require_list() else { return false };
    let condition = list.tokens.to_string();
    let all = condition.strip_prefix("all (").unwrap_or(&condition);
    list.path.is_ident("cfg") && all.split(|c: char| !c.is_alphanumeric()).next() == Some("test")
}
