//! Parses the command line.
//!
//! This is not done by a crate, because the panics of `getargs`, which cannot happen here, linked
//! the code that formats panics, and the binary was a quarter larger.

use core::{ffi::CStr, fmt};

use baremap::copy::{Content, Follow, Method, Preserve, Quoted, TreeOptions, Update};

/// The options of the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// The options of the copy. [`Settings::complete`] sets those that depend on others.
    pub tree: TreeOptions,
    /// Selects which symbolic links are followed.
    pub follow: Option<Follow>,
    /// The directory that the files are copied to.
    pub target: Option<&'a CStr>,
    /// DEST is never the directory that is to contain the copy.
    pub no_target: bool,
    pub progress: When,
    /// Prints a line for each file.
    pub verbose: bool,
    /// Prints nothing but errors.
    pub quiet: bool,
    /// Prints the help text, and copies nothing.
    pub help: bool,
    /// Prints the version, and copies nothing.
    pub version: bool,
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// After a second, if standard error is a terminal.
    #[default]
    Auto,
    Always,
    Never,
}

/// The options, each as its letter, or a digit for an option without a letter, and its name.
const OPTIONS: &[u8] = b"hhelp Vversion nno-clobber ppreserve vverbose qquiet jjobs \
    1in-place 2sync 3sparse 4method 5progress 6atomic aarchive rrecursive Pno-dereference Ldereference \
    fforce iinteractive uupdate Tno-target-directory ttarget-directory xone-file-system llink \
    ssymbolic-link";

/// The values of options, each as a letter and the value.
const VALUES: &[u8] =
    b"aauto nnever Aalways cclone kkernel mmap wwrite *all oolder 0none 1none-fail";

/// The attributes that a copy can get, each as a letter and the word for it.
const ATTRIBUTES: &[u8] = b"mmode oownership ttimestamps llinks ccontext xxattr aall";

/// Returns the letter of a word in one of the tables, or zero if the table does not contain the
/// word.
#[inline(never)]
fn letter(table: &[u8], word: &[u8]) -> u8 {
    let mut known = table.split(|&byte| byte == b' ').filter_map(<[u8]>::split_first);
    known.find(|&(_, known)| known == word).map_or(0, |(&letter, _)| letter)
}

/// Returns the letter of the option with this name, or the only one whose name begins so. Returns
/// zero if there is none, or more than one.
fn option(name: &[u8]) -> u8 {
    let known = || OPTIONS.split(|&byte| byte == b' ').filter_map(<[u8]>::split_first);
    let mut found = 0;
    for (&letter, known) in known().filter(|(_, known)| known.starts_with(name)) {
        if known == name {
            return letter;
        }
        found = if found == 0 { letter } else { b' ' };
    }
    found
}

/// Returns the part of an argument from an offset on, at most its length.
fn tail(argument: &CStr, at: usize) -> &CStr {
    let at = at.min(argument.count_bytes());
    // SAFETY: the tail of a C string is a C string, which lives as long.
    unsafe { CStr::from_ptr(argument.as_ptr().add(at)) }
}

/// Parses the arguments after the program's name. Options may be anywhere before `--`. Calls
/// `operand` with each operand, in order.
pub fn parse<'a>(
    settings: &mut Settings<'a>,
    arguments: &mut dyn Iterator<Item = &'a CStr>,
    operand: &mut dyn FnMut(&'a CStr),
) -> Result<(), UsageError<'a>> {
    let mut only_names = false;
    while let Some(argument) = arguments.next() {
        match argument.to_bytes() {
            _ if only_names => operand(argument),
            b"--" => only_names = true,
            [b'-', b'-', long @ ..] => {
                let end = long.iter().position(|&byte| byte == b'=');
                let name = long.get(..end.unwrap_or(long.len())).unwrap_or_default();
                let value = end.map(|end| tail(argument, end + 3));
                settings.set(option(name), value, argument, arguments)?;
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                for (at, &letter) in letters.iter().enumerate() {
                    let is_last = at + 1 == letters.len();
                    let value = (takes_value(letter) && !is_last).then(|| tail(argument, at + 2));
                    // The table uses digits for options that have no letter.
                    let option = if letter.is_ascii_digit() { 0 } else { letter };
                    settings.set(option, value, argument, arguments)?;
                    if value.is_some() {
                        break;
                    }
                }
            }
            _ => operand(argument),
        }
    }
    Ok(())
}

/// Returns whether an option needs a value.
fn takes_value(option: u8) -> bool {
    matches!(option, b'j' | b't' | b'3' | b'4')
}

/// The attributes that `-p` keeps.
const USUAL: Preserve =
    Preserve::MODE.union(Preserve::OWNERSHIP).union(Preserve::TIMESTAMPS).union(Preserve::XATTR);

impl<'a> Settings<'a> {
    /// Sets the option with this letter. `text` is the argument that contains the option, and
    /// `value` the value in that argument; a missing value is taken from the next argument.
    #[inline(never)]
    fn set(
        &mut self,
        option: u8,
        mut value: Option<&'a CStr>,
        text: &'a CStr,
        arguments: &mut dyn Iterator<Item = &'a CStr>,
    ) -> Result<(), UsageError<'a>> {
        let text = text.to_bytes();
        if takes_value(option) && value.is_none() {
            value = arguments.next();
            if value.is_none() {
                return Err(UsageError { what: "missing value after ", text });
            }
        }
        let (tree, follow) = (&mut self.tree, &mut self.follow);
        let flag = match (option, value) {
            (b't', Some(value)) => {
                self.target = Some(value);
                return Ok(());
            }
            (b'j' | b'p' | b'u' | b'3'..=b'5', Some(value)) => {
                return self.set_value(option, value.to_bytes());
            }
            (b'A'..=b'z' | b'1'..=b'9', Some(_)) => {
                return Err(UsageError { what: "unexpected value in ", text });
            }
            (b'h', _) => &mut self.help,
            (b'V', _) => &mut self.version,
            (b'n', _) => &mut tree.file.no_clobber,
            (b'v', _) => &mut self.verbose,
            (b'q', _) => &mut self.quiet,
            // The last of these two options counts.
            (b'1', _) => {
                tree.file.atomic = false;
                &mut tree.file.in_place
            }
            (b'6', _) => {
                tree.file.in_place = false;
                &mut tree.file.atomic
            }
            (b'2', _) => &mut tree.file.sync,
            (b'f', _) => &mut tree.force,
            (b'i', _) => {
                tree.file.no_clobber = false;
                &mut tree.ask
            }
            (b'r' | b'R', _) => &mut tree.recursive,
            (b'x', _) => &mut tree.one_file_system,
            (b'T', _) => &mut self.no_target,
            (b'a', _) => {
                tree.file.preserve = Preserve::all();
                *follow = Some(Follow::Never);
                &mut tree.recursive
            }
            (b'p' | b'd' | b'P' | b'L' | b'H' | b'u' | b'l' | b's', _) => {
                match option {
                    b'p' => tree.file.preserve |= USUAL,
                    b'd' => {
                        tree.file.preserve |= Preserve::LINKS;
                        *follow = Some(Follow::Never);
                    }
                    b'P' => *follow = Some(Follow::Never),
                    b'L' => *follow = Some(Follow::Always),
                    b'H' => *follow = Some(Follow::Sources),
                    b'u' => tree.update = Update::Older,
                    b'l' => tree.content = Content::HardLink,
                    _ => tree.content = Content::Symlink,
                }
                return Ok(());
            }
            (b'5', _) => return self.set_value(option, b"always"),
            _ => return Err(UsageError { what: "unknown option ", text }),
        };
        *flag = true;
        Ok(())
    }

    /// Sets an option that takes a value.
    fn set_value(&mut self, option: u8, text: &'a [u8]) -> Result<(), UsageError<'a>> {
        let file = &mut self.tree.file;
        match (option, letter(VALUES, text)) {
            (b'3', b'a') => file.fill_holes = false,
            (b'3', b'n') => file.fill_holes = true,
            (b'4', b'a') => file.method = None,
            (b'4', b'c') => file.method = Some(Method::Clone),
            (b'4', b'k') => file.method = Some(Method::Kernel),
            (b'4', b'm') => file.method = Some(Method::Map),
            (b'4', b'w') => file.method = Some(Method::Write),
            (b'5', b'a') => self.progress = When::Auto,
            (b'5', b'A') => self.progress = When::Always,
            (b'5', b'n') => self.progress = When::Never,
            (b'u', b'*') => self.tree.update = Update::All,
            (b'u', b'o') => self.tree.update = Update::Older,
            (b'u', b'0') => self.tree.update = Update::None,
            (b'u', b'1') => self.tree.update = Update::NoneFail,
            (b'p', _) => return self.set_attributes(text),
            (b'j', _) if jobs(text) > 0 => file.jobs = jobs(text),
            _ => {
                let what = match option {
                    b'3' => "--sparse takes auto or never, not ",
                    b'4' => "--method takes auto, clone, kernel, map or write, not ",
                    b'5' => "--progress takes auto, always or never, not ",
                    b'u' => "--update takes all, older, none or none-fail, not ",
                    _ => "--jobs takes a number from 1 to 64, not ",
                };
                return Err(UsageError { what, text });
            }
        }
        Ok(())
    }

    /// Sets the options that depend on others, as in GNU cp.
    pub fn complete(&mut self) {
        let tree = &mut self.tree;
        let copies_links = tree.recursive && tree.content != Content::HardLink;
        let default = if copies_links { Follow::Never } else { Follow::Always };
        tree.follow = self.follow.unwrap_or(default);
        if tree.file.no_clobber {
            tree.update = Update::None;
        }
        tree.file.no_clobber = matches!(tree.update, Update::None | Update::NoneFail);
    }

    /// Adds the attributes of a list with commas to those that are kept.
    fn set_attributes(&mut self, list: &'a [u8]) -> Result<(), UsageError<'a>> {
        for word in list.split(|&byte| byte == b',') {
            self.tree.file.preserve |= match letter(ATTRIBUTES, word) {
                b'm' => Preserve::MODE,
                b'o' => Preserve::OWNERSHIP,
                b't' => Preserve::TIMESTAMPS,
                b'l' => Preserve::LINKS,
                // The security context is an extended attribute.
                b'c' | b'x' => Preserve::XATTR,
                b'a' => Preserve::all(),
                _ => {
                    let what =
                        "--preserve takes mode, ownership, timestamps, links, xattr or all, not ";
                    return Err(UsageError { what, text: word });
                }
            };
        }
        Ok(())
    }
}

/// Parses a decimal number from 1 to 64. Returns zero for any other text.
#[inline(never)]
fn jobs(text: &[u8]) -> u32 {
    let mut number = 0;
    for byte in text {
        number = number * 10 + u32::from(byte.wrapping_sub(b'0'));
        if !byte.is_ascii_digit() || number > 64 {
            return 0;
        }
    }
    number
}

/// An error in the command line.
///
/// `Display` writes `what` and the quoted `text`, without the program's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageError<'a> {
    pub what: &'static str,
    pub text: &'a [u8],
}

impl fmt::Display for UsageError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        Quoted(self.text).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::OPTIONS;

    #[test]
    fn every_option_is_in_the_help_text() {
        let help = include_str!("help.txt");
        for word in str::from_utf8(OPTIONS).unwrap().split_ascii_whitespace() {
            let (letter, name) = word.split_at(1);
            let name = format!("--{name}");
            let line = help.lines().find(|line| {
                line.split_ascii_whitespace()
                    .take(2)
                    .any(|word| word.split(['=', '[']).next() == Some(&*name))
            });
            let line = line.unwrap_or_else(|| panic!("--help does not mention {name}"));
            let has_letter = line.trim_start().starts_with(&format!("-{letter}, "));
            assert!(has_letter || letter.parse::<u8>().is_ok(), "-{letter} of {name}");
        }
    }
}
