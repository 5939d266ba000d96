//! The command line.
//!
//! A crate would do, and `getargs` did; but its panics, which never happen, brought in all that
//! it takes to print them, and the program was a quarter larger.

use core::{ffi::CStr, fmt};

use baremap::copy::{Options, Quoted, Way};

/// How files are copied, and what is said of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub options: Options,
    pub progress: When,
    /// A line for each file.
    pub verbose: bool,
    /// Nothing but errors.
    pub quiet: bool,
    /// Nothing is copied, only this is printed.
    pub help: bool,
    pub version: bool,
}

/// When the progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// On a terminal, from the second second on.
    #[default]
    Auto,
    Always,
    Never,
}

/// Each option's letter, or a digit where it has none, and its name.
const NAMES: &[u8] = b"hhelp Vversion nno-clobber ppreserve vverbose qquiet jjobs \
    1in-place 2sync 3sparse 4method 5progress";

/// Reads the arguments after the program's name: options, in any place before `--`, and
/// operands, which are handed over as they come.
pub fn parse<'a>(
    arguments: &mut dyn Iterator<Item = &'a CStr>,
    operand: &mut dyn FnMut(&'a CStr),
) -> Result<Settings, Wrong<'a>> {
    let mut settings = Settings::default();
    let mut only_names = false;
    while let Some(argument) = arguments.next() {
        match argument.to_bytes() {
            b"--" if !only_names => only_names = true,
            text @ [b'-', b'-', long @ ..] if !only_names => {
                let mut parts = long.splitn(2, |&byte| byte == b'=');
                let (name, value) = (parts.next().unwrap_or_default(), parts.next());
                let mut known = NAMES.split(|&byte| byte == b' ');
                let letter = known.find_map(|known| match known {
                    [letter, known @ ..] if known == name => Some(*letter),
                    _ => None,
                });
                settings.set(letter.unwrap_or(0), value, text, arguments)?;
            }
            text @ [b'-', letters @ ..] if !only_names && !letters.is_empty() => {
                let mut letters = letters;
                while let [letter, rest @ ..] = letters {
                    let (mut letter, mut value) = (*letter, None);
                    letters = rest;
                    if letter == b'j' && !rest.is_empty() {
                        (value, letters) = (Some(rest), b"");
                    }
                    if letter.is_ascii_digit() {
                        letter = 0;
                    }
                    settings.set(letter, value, text, arguments)?;
                }
            }
            _ => operand(argument),
        }
    }
    Ok(settings)
}

impl Settings {
    /// Takes an option of the argument `text`, with the value that is in there.
    #[inline(never)]
    fn set<'a>(
        &mut self,
        letter: u8,
        value: Option<&'a [u8]>,
        text: &'a [u8],
        arguments: &mut dyn Iterator<Item = &'a CStr>,
    ) -> Result<(), Wrong<'a>> {
        if let b'j' | b'3' | b'4' = letter {
            let value = value.or_else(|| arguments.next().map(CStr::to_bytes));
            let value = value.ok_or(Wrong { what: "a value is missing after ", text })?;
            return self.set_value(letter, value);
        }
        match (letter, value) {
            (b'5', Some(value)) => return self.set_value(letter, value),
            (1.., Some(_)) => return Err(Wrong { what: "there is no value to give in ", text }),
            (b'h', _) => self.help = true,
            (b'V', _) => self.version = true,
            (b'n', _) => self.options.no_clobber = true,
            (b'p', _) => self.options.preserve = true,
            (b'v', _) => self.verbose = true,
            (b'q', _) => self.quiet = true,
            (b'1', _) => self.options.in_place = true,
            (b'2', _) => self.options.sync = true,
            (b'5', _) => self.progress = When::Always,
            _ => return Err(Wrong { what: "unknown option ", text }),
        }
        Ok(())
    }

    fn set_value<'a>(&mut self, letter: u8, text: &'a [u8]) -> Result<(), Wrong<'a>> {
        let what = match letter {
            b'3' => "--sparse takes auto or never, and not ",
            b'4' => "--method takes auto, clone, kernel, map or write, and not ",
            b'5' => "--progress takes auto, always or never, and not ",
            _ => "--jobs takes a number from 1 to 64, and not ",
        };
        match (letter, text) {
            (b'3', b"auto") => self.options.fill_holes = false,
            (b'3', b"never") => self.options.fill_holes = true,
            (b'4', b"auto") => self.options.way = None,
            (b'4', b"clone") => self.options.way = Some(Way::Clone),
            (b'4', b"kernel") => self.options.way = Some(Way::Kernel),
            (b'4', b"map") => self.options.way = Some(Way::Map),
            (b'4', b"write") => self.options.way = Some(Way::Write),
            (b'5', b"auto") => self.progress = When::Auto,
            (b'5', b"always") => self.progress = When::Always,
            (b'5', b"never") => self.progress = When::Never,
            (b'j', _) => match jobs(text) {
                Some(jobs @ 1..=64) => self.options.jobs = jobs,
                _ => return Err(Wrong { what, text }),
            },
            _ => return Err(Wrong { what, text }),
        }
        Ok(())
    }
}

/// A number of digits alone.
fn jobs(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(None, |number: Option<u32>, &byte| {
        let digit = char::from(byte).to_digit(10)?;
        Some(Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?))
    })?
}

/// What is wrong with a command line. `Display` gives it without the program's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong<'a> {
    pub what: &'static str,
    pub text: &'a [u8],
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        Quoted(self.text).fmt(f)
    }
}
