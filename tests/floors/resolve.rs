//! Follows a path to the module that defines what it names.

use std::collections::BTreeMap;

use crate::{
    File,
    imports::{self, Import, Module, ModulePath},
};

/// Where a path leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A module of the crate with this directory.
    Module(&'static str, ModulePath),
    /// Another crate.
    Foreign(String),
}

/// The modules of a crate.
#[derive(Debug, Default)]
pub struct Crate {
    modules: BTreeMap<ModulePath, Module>,
    /// The file of each module.
    pub files: BTreeMap<ModulePath, String>,
}

/// How many re-exports a path can lead through.
const DEPTH: usize = 8;

impl Crate {
    /// Adds the modules of a file, and returns what the file imports.
    pub fn add(&mut self, file: &File) -> Vec<Import> {
        let read = imports::read(&file.source, &file.module);
        let read = read.unwrap_or_else(|error| panic!("{}: {error}", file.name));
        for (path, module) in read.modules {
            self.files.insert(path.clone(), file.name.clone());
            self.modules.insert(path, module);
        }
        read.imports
    }

    /// Returns whether a module is in a file that only builds of the tests contain.
    pub fn is_test_file(&self, module: &[String]) -> bool {
        module.iter().enumerate().any(|(depth, name)| {
            let parent = self.modules.get(&module[..depth]);
            parent.is_some_and(|parent| parent.test_files.contains(name))
        })
    }

    /// Returns where an import of the crate with the directory `krate` leads. `None` if it names
    /// nothing outside of its module, or a name that another import brought in.
    pub fn resolve(
        &self,
        krate: &'static str,
        import: &Import,
        is_crate: &dyn Fn(&str) -> bool,
    ) -> Option<Target> {
        let first = import.words.first()?;
        if let Some(module) = self.find(&import.module, &import.words, DEPTH) {
            return Some(Target::Module(krate, module));
        }
        let is_local = !import.is_absolute && !is_crate(first);
        // A `use` of the variants of an enumeration begins with its name.
        let is_type = first.starts_with(char::is_uppercase);
        (!is_local && !is_type).then(|| Target::Foreign(first.clone()))
    }

    fn child(&self, module: &[String], name: &str) -> Option<ModulePath> {
        let path = [module, &[name.to_owned()]].concat();
        self.modules.contains_key(&path).then_some(path)
    }

    /// Finds the module of this crate that defines the last word.
    fn find(&self, module: &[String], words: &[String], depth: usize) -> Option<ModulePath> {
        let (first, mut rest) = words.split_first()?;
        let mut at = match &**first {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            name => match self.child(module, name) {
                Some(child) => child,
                None => return self.follow(module, words, depth),
            },
        };
        while let Some((name, more)) = rest.split_first() {
            if name == "super" {
                at.pop();
            } else if let Some(child) = self.child(&at, name) {
                at = child;
            } else {
                return self.follow(&at, rest, depth).or(Some(at));
            }
            rest = more;
        }
        Some(at)
    }

    /// Finds the module that defines a name which the module `at` gets by `use` or from a macro.
    ///
    /// That is one of its own modules, or itself: what it re-exports from elsewhere is a part of
    /// its own interface.
    fn follow(&self, at: &[String], words: &[String], depth: usize) -> Option<ModulePath> {
        let (depth, (name, more)) = (depth.checked_sub(1)?, words.split_first()?);
        let module = self.modules.get(at)?;
        let own = |found: ModulePath| if found.starts_with(at) { found } else { at.to_vec() };
        if module.macros.contains(name) {
            return Some(at.to_vec());
        }
        if let Some(path) = module.aliases.get(name) {
            return self.find(at, &[path, more].concat(), depth).map(own);
        }
        if at.is_empty() {
            let mut modules = self.modules.iter();
            if let Some((path, _)) = modules.find(|(_, module)| module.exported.contains(name)) {
                return Some(path.clone());
            }
        }
        module.globs.iter().find_map(|glob| {
            let glob = self.find(at, glob, depth)?;
            let child = self.child(&glob, name);
            child.or_else(|| self.follow(&glob, words, depth)).map(own)
        })
    }
}
