//! Parses the command line.
//!
//! This is not done by a crate, because the panics of `getargs`, which cannot happen here, linked
//! the code that formats panics, and the binary was a quarter larger.

use core::{ffi::CStr, fmt};

use baremap::copy::{Method, Options, Quoted};

/// The options of the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub options: Options,
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
    1in-place 2sync 3sparse 4method 5progress 6atomic";

/// The values of options, each as a letter and the value.
const VALUES: &[u8] = b"aauto nnever Aalways cclone kkernel mmap wwrite";

/// Returns the letter of a word in [`OPTIONS`] or [`VALUES`], or zero if the table does not contain
/// the word.
#[inline(never)]
fn letter(table: &[u8], word: &[u8]) -> u8 {
    let mut known = table.split(|&byte| byte == b' ').filter_map(<[u8]>::split_first);
    known.find(|&(_, known)| known == word).map_or(0, |(&letter, _)| letter)
}

/// Parses the arguments after the program's name. Options may be anywhere before `--`. Calls
/// `operand` with each operand, in order.
pub fn parse<'a>(
    arguments: &mut dyn Iterator<Item = &'a CStr>,
    operand: &mut dyn FnMut(&'a CStr),
) -> Result<Settings, UsageError<'a>> {
    let mut settings = Settings::default();
    let mut only_names = false;
    while let Some(argument) = arguments.next() {
        match argument.to_bytes() {
            _ if only_names => operand(argument),
            b"--" => only_names = true,
            text @ [b'-', b'-', long @ ..] => {
                let end = long.iter().position(|&byte| byte == b'=').unwrap_or(long.len());
                let (name, value) = long.split_at_checked(end).unwrap_or_default();
                let value = value.split_first().map(|(_, value)| value);
                settings.set(letter(OPTIONS, name), value, text, arguments)?;
            }
            text @ [b'-', letters @ ..] if !letters.is_empty() => {
                let mut letters = letters;
                while let [letter, rest @ ..] = letters {
                    let mut value = None;
                    letters = rest;
                    if *letter == b'j' && !rest.is_empty() {
                        (value, letters) = (Some(rest), b"");
                    }
                    // The table uses digits for options that have no letter.
                    let option = if letter.is_ascii_digit() { 0 } else { *letter };
                    settings.set(option, value, text, arguments)?;
                }
            }
            _ => operand(argument),
        }
    }
    Ok(settings)
}

impl Settings {
    /// Sets the option with this letter. `text` is the argument that contains the option, and
    /// `value` the value in that argument; a missing value is taken from the next argument.
    #[inline(never)]
    fn set<'a>(
        &mut self,
        option: u8,
        mut value: Option<&'a [u8]>,
        text: &'a [u8],
        arguments: &mut dyn Iterator<Item = &'a CStr>,
    ) -> Result<(), UsageError<'a>> {
        if let b'j' | b'3' | b'4' = option
            && value.is_none()
        {
            value = arguments.next().map(CStr::to_bytes);
            if value.is_none() {
                return Err(UsageError { what: "missing value after ", text });
            }
        }
        let flag = match (option, value) {
            (b'j' | b'3'..=b'5', Some(value)) => return self.set_value(option, value),
            (1.., Some(_)) => {
                return Err(UsageError { what: "unexpected value in ", text });
            }
            (b'h', _) => &mut self.help,
            (b'V', _) => &mut self.version,
            (b'n', _) => &mut self.options.no_clobber,
            (b'p', _) => &mut self.options.preserve,
            (b'v', _) => &mut self.verbose,
            (b'q', _) => &mut self.quiet,
            // The last of these two options counts.
            (b'1', _) => {
                self.options.atomic = false;
                &mut self.options.in_place
            }
            (b'6', _) => {
                self.options.in_place = false;
                &mut self.options.atomic
            }
            (b'2', _) => &mut self.options.sync,
            (b'5', _) => return self.set_value(option, b"always"),
            _ => return Err(UsageError { what: "unknown option ", text }),
        };
        *flag = true;
        Ok(())
    }

    /// Sets an option that takes a value.
    fn set_value<'a>(&mut self, option: u8, text: &'a [u8]) -> Result<(), UsageError<'a>> {
        match (option, letter(VALUES, text)) {
            (b'3', b'a') => self.options.fill_holes = false,
            (b'3', b'n') => self.options.fill_holes = true,
            (b'4', b'a') => self.options.method = None,
            (b'4', b'c') => self.options.method = Some(Method::Clone),
            (b'4', b'k') => self.options.method = Some(Method::Kernel),
            (b'4', b'm') => self.options.method = Some(Method::Map),
            (b'4', b'w') => self.options.method = Some(Method::Write),
            (b'5', b'a') => self.progress = When::Auto,
            (b'5', b'A') => self.progress = When::Always,
            (b'5', b'n') => self.progress = When::Never,
            (b'j', _) if jobs(text) > 0 => self.options.jobs = jobs(text),
            _ => {
                let what = match option {
                    b'3' => "--sparse takes auto or never, not ",
                    b'4' => "--method takes auto, clone, kernel, map or write, not ",
                    b'5' => "--progress takes auto, always or never, not ",
                    _ => "--jobs takes a number from 1 to 64, not ",
                };
                return Err(UsageError { what, text });
            }
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
