//! The command line.

use core::{
    ffi::CStr,
    fmt::{self, Write},
};

use baremap::copy::{Options, Quoted, Way};
use getargs::{Arg, Argument, Opt};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    Help,
    Version,
    Copy(Settings),
}

/// How files are copied, and what is said of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub options: Options,
    pub progress: When,
    /// A line for each file.
    pub verbose: bool,
    /// Nothing but errors.
    pub quiet: bool,
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

/// Reads the arguments after the program's name: options, in any place before `--`, and
/// operands, which are handed over as they come.
pub fn parse<'a>(
    arguments: impl Iterator<Item = &'a CStr>,
    operand: &mut dyn FnMut(&'a CStr),
) -> Result<Request, Wrong<'a>> {
    let mut words = getargs::Options::new(arguments.map(|argument| Word(argument.to_bytes_with_nul())));
    let mut settings = Settings::default();
    let options = &mut settings.options;
    while let Some(word) = words.next_arg()? {
        let option = match word {
            Arg::Positional(Word(name)) => {
                if let Ok(name) = CStr::from_bytes_with_nul(name) {
                    operand(name);
                }
                continue;
            }
            Arg::Short(letter) => Opt::Short(letter),
            Arg::Long(name) => Opt::Long(name),
        };
        match option {
            Opt::Short(b'h') | Opt::Long(Word(b"help")) => return Ok(Request::Help),
            Opt::Short(b'V') | Opt::Long(Word(b"version")) => return Ok(Request::Version),
            Opt::Short(b'n') | Opt::Long(Word(b"no-clobber")) => options.no_clobber = true,
            Opt::Short(b'p') | Opt::Long(Word(b"preserve")) => options.preserve = true,
            Opt::Long(Word(b"in-place")) => options.in_place = true,
            Opt::Long(Word(b"sync")) => options.sync = true,
            Opt::Short(b'v') | Opt::Long(Word(b"verbose")) => settings.verbose = true,
            Opt::Short(b'q') | Opt::Long(Word(b"quiet")) => settings.quiet = true,
            Opt::Long(Word(b"sparse")) => {
                options.fill_holes = match words.value()?.bytes() {
                    b"auto" => false,
                    b"never" => true,
                    value => return Err(Wrong::Value("--sparse", value, "auto or never")),
                }
            }
            Opt::Long(Word(b"method")) => {
                options.way = match words.value()?.bytes() {
                    b"auto" => None,
                    b"map" => Some(Way::Map),
                    b"write" => Some(Way::Write),
                    b"kernel" => Some(Way::Kernel),
                    b"clone" => Some(Way::Clone),
                    value => {
                        let takes = "auto, map, write, kernel or clone";
                        return Err(Wrong::Value("--method", value, takes));
                    }
                }
            }
            Opt::Short(b'j') | Opt::Long(Word(b"jobs")) => {
                let value = words.value()?.bytes();
                let jobs = str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                options.jobs = match jobs {
                    Some(jobs @ 1..=64) => jobs,
                    _ => return Err(Wrong::Value("--jobs", value, "a number from 1 to 64")),
                }
            }
            Opt::Long(Word(b"progress")) => {
                settings.progress = match words.value_opt().map(Word::bytes) {
                    None | Some(b"always") => When::Always,
                    Some(b"auto") => When::Auto,
                    Some(b"never") => When::Never,
                    Some(value) => {
                        return Err(Wrong::Value("--progress", value, "auto, always or never"));
                    }
                }
            }
            option => return Err(Wrong::Unknown(option)),
        }
    }
    Ok(Request::Copy(settings))
}

/// Bytes of the command line; those that go to the end of an argument have its NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a>(&'a [u8]);

impl<'a> Word<'a> {
    fn bytes(self) -> &'a [u8] {
        self.0.strip_suffix(b"\0").unwrap_or(self.0)
    }
}

impl Argument for Word<'_> {
    type ShortOpt = u8;

    fn ends_opts(self) -> bool {
        self.0 == b"--\0"
    }

    fn parse_long_opt(self) -> Option<(Self, Option<Self>)> {
        let option = self.0.strip_prefix(b"--")?;
        let end = option.iter().position(|&byte| byte == b'=' || byte == 0)?;
        let (name, rest) = option.split_at_checked(end)?;
        Some((Word(name), rest.strip_prefix(b"=").map(Word)))
    }

    fn parse_short_cluster(self) -> Option<Self> {
        self.0.strip_prefix(b"-").filter(|&rest| rest != b"\0").map(Word)
    }

    fn consume_short_opt(self) -> (u8, Option<Self>) {
        match self.0 {
            [letter, rest @ ..] => (*letter, (rest != b"\0").then_some(Word(rest))),
            [] => (0, None), // never so: there is a NUL
        }
    }

    fn consume_short_val(self) -> Self {
        self
    }
}

/// What is wrong with a command line. `Display` gives it without the program's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong<'a> {
    Unknown(Opt<Word<'a>>),
    NeedsValue(Opt<Word<'a>>),
    TakesNoValue(Opt<Word<'a>>),
    /// The option, its value, and what it takes.
    Value(&'static str, &'a [u8], &'static str),
    /// Fewer than two operands.
    Operands,
}

impl<'a> From<getargs::Error<Word<'a>>> for Wrong<'a> {
    fn from(error: getargs::Error<Word<'a>>) -> Wrong<'a> {
        match error {
            getargs::Error::RequiresValue(option) => Wrong::NeedsValue(option),
            getargs::Error::DoesNotRequireValue(option) => Wrong::TakesNoValue(option),
            _ => Wrong::Operands, // there is no other
        }
    }
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, option, after) = match *self {
            Wrong::Unknown(option) => ("unknown option ", option, ""),
            Wrong::NeedsValue(option) => ("option ", option, " needs a value"),
            Wrong::TakesNoValue(option) => ("option ", option, " takes no value"),
            Wrong::Value(option, value, takes) => {
                for text in [option, " takes ", takes, ", and not "] {
                    f.write_str(text)?;
                }
                return Quoted(value).fmt(f);
            }
            Wrong::Operands => return f.write_str("needs a SOURCE and a DEST"),
        };
        f.write_str(before)?;
        match option {
            Opt::Short(letter) => Quoted(&[b'-', letter]).fmt(f)?,
            Opt::Long(Word(name)) => {
                f.write_char('-')?;
                f.write_char('-')?;
                Quoted(name).fmt(f)?;
            }
        }
        f.write_str(after)
    }
}
