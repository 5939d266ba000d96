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
    ssymbolic-link 7reflink";

/// The words that the value of an option can be, as the message about another value lists them.
const METHOD: &str = "auto, clone, kernel, map, write";
const WHEN: &str = "auto, always, never";
const UPDATE: &str = "all, older, none, none-fail";
const NOT_ONE_OF: &str = " is not one of ";
const JOBS: &str = "1 to 64";
const ATTRIBUTES: &str = "mode, ownership, timestamps, links, xattr, all, context";

/// Returns the number of a word in a list of words.
#[inline(never)]
fn number<'a>(words: &'static str, word: &'a [u8]) -> Result<usize, UsageError<'a>> {
    let mut list = words.as_bytes().split(|&byte| byte == b' ');
    let found = list.position(|known| known.strip_suffix(b",").unwrap_or(known) == word);
    found.ok_or(UsageError { what: NOT_ONE_OF, words, text: word })
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
                return Err(UsageError { what: "missing value after ", words: "", text });
            }
        }
        let (tree, follow) = (&mut self.tree, &mut self.follow);
        let flag = match (option, value) {
            (b't', Some(value)) => {
                self.target = Some(value);
                return Ok(());
            }
            (b'j' | b'p' | b'u' | b'3'..=b'5' | b'7', Some(value)) => {
                return self.set_value(option, value.to_bytes());
            }
            (b'A'..=b'z' | b'1'..=b'9', Some(_)) => {
                return Err(UsageError { what: "unexpected value in ", words: "", text });
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
            (b'5' | b'7', _) => return self.set_value(option, b"always"),
            _ => return Err(UsageError { what: "unknown option ", words: "", text }),
        };
        *flag = true;
        Ok(())
    }

    /// Sets an option that takes a value.
    fn set_value(&mut self, option: u8, text: &'a [u8]) -> Result<(), UsageError<'a>> {
        let file = &mut self.tree.file;
        match option {
            b'3' => {
                let number = number(WHEN, text)?;
                (file.make_holes, file.fill_holes) = (number == 1, number == 2);
            }
            b'4' => {
                let methods = [Method::Clone, Method::Kernel, Method::Map, Method::Write];
                let number = number(METHOD, text)?;
                file.method = number.checked_sub(1).and_then(|at| methods.get(at)).copied();
            }
            b'7' => {
                file.method = match number(WHEN, text)? {
                    0 => None,
                    1 => Some(Method::Clone),
                    _ => Some(Method::Write),
                }
            }
            b'5' => {
                self.progress = match number(WHEN, text)? {
                    0 => When::Auto,
                    1 => When::Always,
                    _ => When::Never,
                }
            }
            b'u' => {
                self.tree.update = match number(UPDATE, text)? {
                    0 => Update::All,
                    1 => Update::Older,
                    2 => Update::None,
                    _ => Update::NoneFail,
                }
            }
            b'p' => {
                for word in text.split(|&byte| byte == b',') {
                    file.preserve |= match number(ATTRIBUTES, word)? {
                        0 => Preserve::MODE,
                        1 => Preserve::OWNERSHIP,
                        2 => Preserve::TIMESTAMPS,
                        3 => Preserve::LINKS,
                        5 => Preserve::all(),
                        // The security context is an extended attribute.
                        _ => Preserve::XATTR,
                    };
                }
            }
            _ => {
                file.jobs = jobs(text);
                if file.jobs == 0 {
                    return Err(UsageError { what: NOT_ONE_OF, words: JOBS, text });
                }
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
/// `Display` writes `what` and the quoted `text`, or if there are `words`, the quoted `text`, `what`
/// and the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageError<'a> {
    pub what: &'static str,
    pub words: &'static str,
    pub text: &'a [u8],
}

impl fmt::Display for UsageError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() {
            f.write_str(self.what)?;
            return Quoted(self.text).fmt(f);
        }
        Quoted(self.text).fmt(f)?;
        f.write_str(self.what)?;
        f.write_str(self.words)
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
