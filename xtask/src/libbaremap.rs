//! `cargo xtask libbaremap`: the library for C: its header, and its installation.

use std::{
    env,
    ffi::CStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
};

use crate::{cargo, command::run, root};

const HEADER: &str = "libbaremap/include/baremap.h";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Compares the header with the source, or updates it, or installs the library.
pub fn libbaremap(words: &[&str], update: bool) -> Result<ExitCode, String> {
    if words.is_empty() {
        return header(update);
    }
    let mut options = Options::default();
    for pair in words.chunks(2) {
        let &[name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
        let option = match name {
            "--prefix" => &mut options.prefix,
            "--libdir" => &mut options.libdir,
            "--destdir" => &mut options.destdir,
            "--target" => &mut options.target,
            _ => return Err(format!("libbaremap has no option {name}")),
        };
        *option = Some(value);
    }
    install(&options)?;
    Ok(ExitCode::SUCCESS)
}

/// Installs the library below a directory.
pub fn install_to(prefix: &Path) -> Result<(), String> {
    let prefix = prefix.to_str().ok_or("a path that is not UTF-8")?;
    install(&Options { prefix: Some(prefix), ..Options::default() })
}

#[derive(Default)]
struct Options<'a> {
    /// The directory in which the library is used.
    prefix: Option<&'a str>,
    /// The directory of the libraries, below the prefix unless it is absolute.
    libdir: Option<&'a str>,
    /// A directory that comes before the others while a package is made.
    destdir: Option<&'a str>,
    /// A target of the compiler.
    target: Option<&'a str>,
}

/// Compares the header with the one that cbindgen generates, or updates it.
fn header(update: bool) -> Result<ExitCode, String> {
    let package = root().join("libbaremap");
    let config = cbindgen::Config::from_file(package.join("cbindgen.toml"))?;
    let bindings = cbindgen::Builder::new()
        .with_crate(&package)
        .with_config(config)
        .generate()
        .map_err(|error| format!("cbindgen: {error}"))?;
    let mut new = Vec::new();
    bindings.write(&mut new);
    let path = root().join(HEADER);
    if update {
        write(&path, &new)?;
    } else if fs::read(&path).unwrap_or_default() != new {
        let advice = "run: cargo xtask libbaremap --update";
        return Err(format!("{HEADER} differs from the source; {advice}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the library, and copies it with its header and the file for pkg-config.
fn install(options: &Options) -> Result<(), String> {
    let prefix = options.prefix.ok_or("libbaremap needs --prefix DIR")?;
    if !Path::new(prefix).is_absolute() {
        return Err(format!("--prefix {prefix} is not an absolute path"));
    }
    let libdir = Path::new(prefix).join(options.libdir.unwrap_or("lib"));
    let include = Path::new(prefix).join("include");
    let place = |dir: &Path| match options.destdir {
        Some(destdir) => Path::new(destdir).join(dir.strip_prefix("/").unwrap_or(dir)),
        None => dir.to_owned(),
    };

    let built = build(options.target)?;
    let lib = place(&libdir);
    let shared = format!("libbaremap.so.{VERSION}");
    copy(&built.join("libbaremap.so"), &lib.join(&shared))?;
    for name in [soname(&built.join("libbaremap.so"))?.as_str(), "libbaremap.so"] {
        let link = lib.join(name);
        let _ = fs::remove_file(&link);
        symlink(&shared, &link).map_err(|error| format!("{}: {error}", link.display()))?;
    }
    archive(&built, &lib.join("libbaremap.a"))?;
    copy(&root().join(HEADER), &place(&include).join("baremap.h"))?;
    let template = root().join("libbaremap/baremap.pc.in");
    let template =
        fs::read_to_string(&template).map_err(|error| format!("baremap.pc.in: {error}"))?;
    let text = template
        .replace("@prefix@", prefix)
        .replace("@libdir@", &libdir.display().to_string())
        .replace("@version@", VERSION);
    write(&lib.join("pkgconfig/baremap.pc"), text.as_bytes())
}

/// Builds the library by itself: another package of the workspace would link `std` into it.
fn build(target: Option<&str>) -> Result<PathBuf, String> {
    let mut cargo = cargo(&["build", "--package", "libbaremap", "--profile", "libbaremap"]);
    if let Some(target) = target {
        cargo.args(["--target", target]);
    }
    run(&mut cargo)?;
    let dir = env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    Ok(dir.join(target.unwrap_or_default()).join("libbaremap"))
}

/// Returns the name by which programs load the shared library, which `libbaremap/build.rs` sets.
fn soname(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let start = bytes.windows(14).position(|bytes| bytes == b"libbaremap.so.");
    let name = start.and_then(|start| CStr::from_bytes_until_nul(&bytes[start..]).ok());
    let name = name.and_then(|name| name.to_str().ok());
    name.map(str::to_owned).ok_or_else(|| format!("{} has no soname", path.display()))
}

/// Makes a static library with one object, whose only global symbols are those of the header.
///
/// The one that rustc makes also contains all of `compiler_builtins`, whose symbols are those of
/// every other static library in Rust, and of libgcc.
fn archive(built: &Path, to: &Path) -> Result<(), String> {
    // Another installation may run at the same time.
    let dir = built.join(process::id().to_string());
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let object = dir.join("libbaremap.o");
    let result = pack(built, &object, to);
    fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    result
}

fn pack(built: &Path, object: &Path, to: &Path) -> Result<(), String> {
    // A variable may contain arguments, such as `LD="ld -m elf_i386"`.
    let tool = |variable: &str, name: &str| {
        let words = env::var(variable).unwrap_or_else(|_| name.to_owned());
        let mut words = words.split_whitespace();
        let mut tool = Command::new(words.next().unwrap_or(name));
        tool.args(words);
        tool
    };
    let header = fs::read_to_string(root().join(HEADER)).unwrap_or_default();
    let mut link = tool("LD", "ld");
    link.arg("-r").arg("-o").arg(object).arg("--gc-sections");
    for function in functions(&header) {
        link.args(["-u", function]);
    }
    run(link.arg(built.join("libbaremap.a")))?;
    let mut localize = tool("OBJCOPY", "objcopy");
    run(localize.args(["--strip-debug", "-w", "-G", "baremap_*"]).arg(object))?;
    let _ = fs::remove_file(to);
    run(tool("AR", "ar").arg("rcsD").arg(to).arg(object))
}

/// Returns the names of the functions that a header declares.
fn functions(header: &str) -> impl Iterator<Item = &str> {
    let declarations = header.lines().filter(|line| !line.starts_with([' ', '/', '#', '}']));
    declarations.filter_map(|line| {
        let (before, _) = line.split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?;
        name.starts_with("baremap_").then_some(name)
    })
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    write(to, &bytes)?;
    let permissions = fs::metadata(from).map(|metadata| metadata.permissions());
    permissions
        .and_then(|permissions| fs::set_permissions(to, permissions))
        .map_err(|error| format!("{}: {error}", to.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let parent = path.parent().unwrap_or(path);
    // A program that is running may have the old file mapped.
    let _ = fs::remove_file(path);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|error| format!("{}: {error}", path.display()))
}
