//! The floors: every import in the repository is one that the table in ARCHITECTURE.md allows, and
//! every permission in the table is needed.

mod imports;
mod resolve;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use imports::{Import, ModulePath};
use resolve::{Crate, Target};

/// One row of the table.
#[derive(Debug)]
struct Room {
    name: String,
    /// Files, and directories, which end with a slash.
    places: BTreeSet<String>,
    rooms: BTreeSet<String>,
    crates: BTreeSet<String>,
}

impl Room {
    /// Returns the length of the longest place that contains the file, or zero.
    fn claim(&self, file: &str) -> usize {
        let contains = |place: &&String| match place.strip_suffix('/') {
            Some(dir) => Path::new(file).starts_with(dir),
            None => file == *place,
        };
        self.places.iter().filter(contains).map(String::len).max().unwrap_or(0)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads the first table of the page.
fn table() -> Vec<Room> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = page.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let words = |cell: &str| -> BTreeSet<String> {
        let words = cell.split(',').map(|word| word.trim().trim_matches('`').to_owned());
        words.filter(|word| !word.is_empty()).collect()
    };
    let read = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let ["", name, places, _, rooms, crates, ""] = cells[..] else {
            panic!("ARCHITECTURE.md: a row does not have five cells: {row}")
        };
        let name = name.to_owned();
        Room { name, places: words(places), rooms: words(rooms), crates: words(crates) }
    };
    rows.take_while(|line| line.starts_with('|')).map(read).collect()
}

/// One file.
#[derive(Debug)]
struct File {
    name: String,
    /// The directory of its crate.
    krate: &'static str,
    module: ModulePath,
    source: String,
}

const LIBRARY: &str = "src";

/// The directories of source files, the directories of the crates that they are in, and the
/// modules that the directories are.
const DIRECTORIES: &[(&str, &str, &[&str])] = &[
    ("src", LIBRARY, &[]),
    ("arch", LIBRARY, &["arch"]),
    ("src/bin/mapcp", "src/bin/mapcp", &[]),
    ("baremap-build/src", "baremap-build/src", &[]),
    ("memmap2/src", "memmap2/src", &[]),
    ("examples", "examples", &[]),
    ("template/src", "template/src", &[]),
    ("tests/programs/conformance", "tests/programs/conformance", &[]),
    ("libbaremap/src", "libbaremap/src", &[]),
    ("xtask/src", "xtask/src", &[]),
];

fn files() -> Vec<File> {
    let mut files = Vec::new();
    for &(dir, krate, prefix) in DIRECTORIES {
        let mut dirs = vec![dir.to_owned()];
        while let Some(at) = dirs.pop() {
            for entry in fs::read_dir(root().join(&at)).unwrap() {
                let name = format!("{at}/{}", entry.unwrap().file_name().into_string().unwrap());
                if root().join(&name).is_dir() {
                    if DIRECTORIES.iter().all(|&(dir, ..)| dir != name) {
                        dirs.push(name);
                    }
                } else if let Some(stem) = name.strip_suffix(".rs") {
                    let inside = stem[dir.len() + 1..].split('/');
                    let mut module: ModulePath =
                        prefix.iter().copied().chain(inside).map(str::to_owned).collect();
                    if module.last().is_some_and(|name| ["lib", "main", "mod"].contains(&&**name)) {
                        module.pop();
                    }
                    let source = fs::read_to_string(root().join(&name)).unwrap();
                    files.push(File { name, krate, module, source });
                }
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// The table, the crates, and what the files import.
struct House {
    rooms: Vec<Room>,
    crates: BTreeMap<&'static str, Crate>,
    imports: Vec<(&'static str, Import)>,
}

impl House {
    fn new(rooms: Vec<Room>, files: &[File]) -> House {
        let mut house = House { rooms, crates: BTreeMap::new(), imports: Vec::new() };
        for file in files {
            let krate = house.crates.entry(file.krate).or_default();
            house.imports.extend(krate.add(file).into_iter().map(|import| (file.krate, import)));
        }
        house
    }

    /// Returns the room of a file: the one with the longest place that contains it.
    fn room(&self, file: &str) -> &Room {
        let room = self.rooms.iter().max_by_key(|room| room.claim(file));
        let room = room.filter(|room| room.claim(file) > 0);
        room.unwrap_or_else(|| panic!("ARCHITECTURE.md: {file} is in no room"))
    }

    /// Returns a message for each import that the table does not allow, and the permissions that
    /// the others need.
    fn check(&self) -> (Vec<String>, BTreeSet<(String, String)>) {
        let imports = self.imports.iter().map(|(krate, import)| (*krate, import));
        self.check_imports(imports)
    }

    fn check_imports<'a>(
        &self,
        imports: impl Iterator<Item = (&'static str, &'a Import)>,
    ) -> (Vec<String>, BTreeSet<(String, String)>) {
        let (mut forbidden, mut needed) = (Vec::new(), BTreeSet::new());
        for (krate, import) in imports {
            let modules = &self.crates[krate];
            let file = &modules.files[&import.module];
            // What only builds of the tests contain may use everything.
            if import.in_test || modules.is_test_file(&import.module) {
                continue;
            }
            let room = self.room(file);
            let (what, target, is_allowed) = match self.target(krate, import) {
                None => continue,
                Some(Target::Module(library, module)) => {
                    // A module may re-export what its own modules define.
                    let is_inside = library == krate && module.starts_with(&import.module);
                    // Programs that share a directory share no root.
                    let Some(file) = self.crates[library].files.get(&module) else { continue };
                    let target = &self.room(file).name;
                    if is_inside || *target == room.name {
                        continue;
                    }
                    ("the room", target.clone(), room.rooms.contains(target))
                }
                Some(Target::Foreign(name)) if name == "core" => continue,
                Some(Target::Foreign(name)) => {
                    let is_allowed = room.crates.contains(&name);
                    ("the crate", name, is_allowed)
                }
            };
            if is_allowed {
                needed.insert((room.name.clone(), target));
                continue;
            }
            let allowed = if what == "the room" { &room.rooms } else { &room.crates };
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            forbidden.push(format!(
                "{file}:{}: `{}` is in {what} `{target}`, which the room `{}` may not use \
                 (it may use {allowed}: see ARCHITECTURE.md)",
                import.line,
                import.words.join("::"),
                room.name,
            ));
        }
        (forbidden, needed)
    }

    /// Returns where an import leads, also if that is a module of the library for a program.
    fn target(&self, krate: &'static str, import: &Import) -> Option<Target> {
        let target = self.crates[krate].resolve(krate, import, &|name| {
            name == "std"
                || name == "baremap"
                || self.rooms.iter().any(|room| room.crates.contains(name))
        })?;
        match target {
            Target::Foreign(name) if name == "baremap" => {
                let words = [&["crate".to_owned()], &import.words[1..]].concat();
                let import = Import { words, module: Vec::new(), ..*import };
                self.crates[LIBRARY].resolve(LIBRARY, &import, &|_| false)
            }
            target => Some(target),
        }
    }
}

#[test]
fn every_import_is_allowed_and_every_permission_is_needed() {
    let house = House::new(table(), &files());
    let (forbidden, needed) = house.check();
    assert!(forbidden.is_empty(), "\n{}", forbidden.join("\n"));
    let permissions = house.rooms.iter().flat_map(|room| {
        room.rooms.union(&room.crates).map(|target| (room.name.clone(), target.clone()))
    });
    let unused: Vec<_> = permissions.filter(|permission| !needed.contains(permission)).collect();
    assert!(unused.is_empty(), "ARCHITECTURE.md: no import needs these permissions: {unused:?}");
}

/// No two rooms depend on each other, not even through others.
#[test]
fn every_room_uses_only_rooms_above_it_in_the_table() {
    let mut above = BTreeSet::new();
    for room in table() {
        let below: Vec<&String> = room.rooms.difference(&above).collect();
        assert!(below.is_empty(), "ARCHITECTURE.md: `{}` is not below {below:?}", room.name);
        above.insert(room.name);
    }
}

/// Puts each import that the table forbids into each room of the library in turn.
#[test]
fn a_forbidden_import_is_found_wherever_it_is_put() {
    let files = files();
    let house = House::new(table(), &files);
    let library: Vec<&File> = files.iter().filter(|file| file.krate == LIBRARY).collect();
    // A file of each room, deep enough that it is not the parent of another room.
    let find = |room: &Room| {
        let mut in_room = library.iter().filter(|file| {
            house.room(&file.name).name == room.name
                && !house.crates[LIBRARY].is_test_file(&file.module)
        });
        in_room.find(|file| !file.module.is_empty() && !file.name.ends_with("/mod.rs")).copied()
    };
    let mut tried = 0;
    for (room, file) in house.rooms.iter().filter_map(|room| Some((room, find(room)?))) {
        let others = house
            .rooms
            .iter()
            .filter(|other| other.name != room.name && !room.rooms.contains(&other.name));
        let paths =
            others.filter_map(find).map(|other| format!("crate::{}::x", other.module.join("::")));
        for path in paths.chain(["rustix::fs".to_owned()]) {
            let supers = "super::".repeat(file.module.len());
            let relative = path.replacen("crate::", &supers, 1);
            for text in [
                format!("use {path};"),
                format!("use {relative};"),
                format!("use core::mem; use {{core::fmt, {path}}};"),
                format!("fn f() {{ {{ use {path} as _; }} }}"),
            ] {
                // Where the file ends, whose own imports are those of the other test.
                let line = file.source.lines().count() + 1;
                let source = "\n".repeat(line - 1) + &text;
                let imports = imports::read(&source, &file.module).unwrap().imports;
                let imports = imports.iter().map(|import| (LIBRARY, import));
                let (forbidden, _) = house.check_imports(imports);
                let begin = format!("{}:{line}: `", file.name);
                assert!(
                    forbidden.len() == 1 && forbidden[0].starts_with(&begin),
                    "{text:?} in {}: {forbidden:#?}",
                    file.name
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 100);
}
