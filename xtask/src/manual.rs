//! `cargo xtask manual` generates the manual page of `mapcp`, its help text and its shell
//! completions from one table of options.

use std::{
    fs,
    process::{Command, ExitCode},
};

use crate::{cargo, root};

/// An option of `mapcp`.
struct Opt {
    short: Option<char>,
    long: &'static str,
    value: Value,
    /// The description in the help text and the completions.
    help: &'static str,
    /// The description in the manual page.
    manual: &'static str,
}

/// The value of an option.
enum Value {
    None,
    /// The value's name, and the words that it can be. An empty list stands for any text.
    Required(&'static str, &'static [&'static str]),
    /// The name and the words of a value that may be omitted.
    Optional(&'static str, &'static [&'static str]),
}

use Value::{None as Nothing, Optional, Required};

const WHEN: &[&str] = &["auto", "always", "never"];

const OPTIONS: &[Opt] = &[
    Opt {
        short: Some('r'),
        long: "recursive",
        value: Nothing,
        help: "copy directories with their contents (also -R)",
        manual: "Copies directories with all that they contain. FIFOs, sockets and devices are \
                 copied as such, and symbolic links as links unless -L or -H is given. An existing \
                 directory is merged with. -R is the same option.",
    },
    Opt {
        short: Some('a'),
        long: "archive",
        value: Nothing,
        help: "as -r -P --preserve=all",
        manual: "Copies directories and keeps everything: as -r, -P and --preserve=all.",
    },
    Opt {
        short: Some('n'),
        long: "no-clobber",
        value: Nothing,
        help: "do not overwrite DEST",
        manual: "Does not overwrite an existing DEST. This is not an error.",
    },
    Opt {
        short: Some('u'),
        long: "update",
        value: Optional("WHICH", &["all", "older", "none", "none-fail"]),
        help: "overwrite only older files",
        manual: "Selects which existing files are overwritten: all, older (those whose \
                 modification time is earlier than that of SOURCE), none, or none-fail (none, \
                 and each is an error). -u means older. After a copy of a tree was interrupted, \
                 -u with the other options as before finishes it.",
    },
    Opt {
        short: Some('f'),
        long: "force",
        value: Nothing,
        help: "overwrite files without write permission",
        manual: "Replaces an existing file to which the caller may not write by a new one.",
    },
    Opt {
        short: Some('i'),
        long: "interactive",
        value: Nothing,
        help: "ask before overwriting",
        manual: "Asks on standard error before an existing file is overwritten, and reads the \
                 answer from standard input.",
    },
    Opt {
        short: Some('T'),
        long: "no-target-directory",
        value: Nothing,
        help: "copy to DEST itself if it is a directory",
        manual: "Never takes DEST for the directory that is to contain the copy.",
    },
    Opt {
        short: Some('t'),
        long: "target-directory",
        value: Required("DIR", &[]),
        help: "copy all operands into DIR",
        manual: "Copies all operands into the directory DIR.",
    },
    Opt {
        short: Some('p'),
        long: "preserve",
        value: Optional("LIST", &["mode", "ownership", "timestamps", "links", "xattr", "all"]),
        help: "keep permissions, owner, times and attributes",
        manual: "Keeps the permissions, owner, times, access list and extended attributes of \
                 SOURCE. LIST contains those of mode (the permissions and the access lists), \
                 ownership, timestamps, links (the hard links between the copied files), xattr \
                 and all that are to be kept, with commas between them. -p keeps all but links. \
                 Without permission to change the owner, only the group is changed. The set-ID \
                 bits are dropped unless the owner is kept.",
    },
    Opt {
        short: Some('P'),
        long: "no-dereference",
        value: Nothing,
        help: "copy symbolic links as links",
        manual: "Copies symbolic links as links. This is the default with -r. -d is the same as \
                 -P with --preserve=links, and -H follows only links that are named as SOURCE.",
    },
    Opt {
        short: Some('L'),
        long: "dereference",
        value: Nothing,
        help: "follow symbolic links",
        manual: "Follows symbolic links. This is the default without -r.",
    },
    Opt {
        short: Some('x'),
        long: "one-file-system",
        value: Nothing,
        help: "stay on the file system of SOURCE",
        manual: "Copies directories that are on another file system than SOURCE, such as mount \
                 points, without their contents.",
    },
    Opt {
        short: Some('l'),
        long: "link",
        value: Nothing,
        help: "make hard links instead of copies",
        manual: "Makes hard links to the files instead of copies.",
    },
    Opt {
        short: Some('s'),
        long: "symbolic-link",
        value: Nothing,
        help: "make symbolic links instead of copies",
        manual: "Makes symbolic links to the files instead of copies. A SOURCE that is not \
                 absolute can only be linked in the working directory.",
    },
    Opt {
        short: None,
        long: "atomic",
        value: Nothing,
        help: "fail if DEST cannot be replaced in one step",
        manual: "Fails if DEST cannot be created or replaced in one step. Without this option, \
                 mapcp writes into DEST, as cp does, if the file system or a policy permits \
                 nothing else: without renaming, in an append-only directory, over a file that \
                 is a mount point, over a file of another owner. --verbose prints in place for \
                 such a copy. Of --atomic and --in-place, the last one counts.",
    },
    Opt {
        short: None,
        long: "in-place",
        value: Nothing,
        help: "write into an existing DEST, do not replace it",
        manual: "Writes into an existing DEST instead of replacing it. DEST keeps its inode, \
                 hard links and attributes. A copy that fails leaves DEST partly overwritten.",
    },
    Opt {
        short: None,
        long: "sparse",
        value: Required("WHEN", WHEN),
        help: "auto: holes stay holes; always: zeros are holes; never: no holes",
        manual: "Selects what happens to the holes of SOURCE. auto, the default, leaves them as \
                 holes in DEST; always also makes holes of blocks of zeros, each of 4 KiB; never \
                 allocates blocks of zeros for holes.",
    },
    Opt {
        short: None,
        long: "reflink",
        value: Optional("WHEN", WHEN),
        help: "share the blocks of SOURCE, or do not",
        manual: "Sets --method as cp does: always (the default if no value is given) is clone, which \
                 shares the blocks of SOURCE or fails; never is write; auto is auto, which shares \
                 blocks where the file system can.",
    },
    Opt {
        short: None,
        long: "method",
        value: Required("METHOD", &["auto", "clone", "kernel", "map", "write"]),
        help: "auto, clone, kernel, map or write",
        manual: "Selects how the data is copied. clone shares the blocks of SOURCE (FICLONE). \
                 kernel uses copy_file_range(2). map maps both files and copies memory. write \
                 maps SOURCE and writes from the mapping. auto, the default, clones if the file \
                 system can, and otherwise chooses by the size of the file. If DEST gets holes, \
                 or its space cannot be preallocated, map falls back to write. --verbose prints \
                 the method that was used.",
    },
    Opt {
        short: Some('j'),
        long: "jobs",
        value: Required("N", &[]),
        help: "processes for one large file",
        manual: "Sets the number of processes that copy one large file, from 1 to 64. The default is two \
                 for files from 16 MiB on, if there are two processors, and one for others.",
    },
    Opt {
        short: None,
        long: "sync",
        value: Nothing,
        help: "write DEST and its name to the disk",
        manual: "Writes the file, and then its name, to the disk before success is reported. \
                 After a power cut, DEST is the old file or the new one, except with --in-place.",
    },
    Opt {
        short: None,
        long: "progress",
        value: Optional("WHEN", WHEN),
        help: "auto (on a terminal), always or never",
        manual: "Selects when progress is shown on standard error. auto, the default, shows it \
                 on a terminal after a second. Without a value, --progress means always.",
    },
    Opt {
        short: Some('v'),
        long: "verbose",
        value: Nothing,
        help: "print a line per file",
        manual: "Prints a line for each file, with the method that copied it.",
    },
    Opt {
        short: Some('q'),
        long: "quiet",
        value: Nothing,
        help: "print errors only",
        manual: "Prints nothing but errors.",
    },
    Opt {
        short: Some('h'),
        long: "help",
        value: Nothing,
        help: "print this text",
        manual: "Prints a summary of the options.",
    },
    Opt {
        short: Some('V'),
        long: "version",
        value: Nothing,
        help: "print the version",
        manual: "Prints the version.",
    },
];

const USAGE: [&str; 3] = [
    "mapcp [OPTIONS] SOURCE DEST",
    "mapcp [OPTIONS] SOURCE... DIRECTORY",
    "mapcp [OPTIONS] -t DIR SOURCE...",
];

const SUMMARY: &str = "\
Copies files by mapping them. An existing DEST is replaced when its copy is complete, and
keeps its permissions and owner.";

const STATUS: [(u8, &str); 3] =
    [(0, "all files copied"), (1, "a file not copied"), (2, "usage error")];

impl Opt {
    /// Returns the option as users write it: `--long`, `--long=VALUE` or `--long[=VALUE]`.
    fn long(&self) -> String {
        match self.value {
            Nothing => format!("--{}", self.long),
            Required(name, _) => format!("--{}={name}", self.long),
            Optional(name, _) => format!("--{}[={name}]", self.long),
        }
    }

    /// Returns the words that the option's value can be.
    fn words(&self) -> &'static [&'static str] {
        match self.value {
            Nothing => &[],
            Required(_, words) | Optional(_, words) => words,
        }
    }
}

/// Returns the output of `mapcp --help`.
fn help() -> String {
    let mut text = format!("Usage: {}\n\n{SUMMARY}\n\n", USAGE.join("\n       "));
    for option in OPTIONS {
        let short = option.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        text += &format!("  {short}{:<22} {}\n", option.long(), option.help);
    }
    text += &format!("      {:<22} end of options\n\nExit status: ", "--");
    let status: Vec<String> = STATUS.iter().map(|(code, what)| format!("{code} {what}")).collect();
    text + &status.join(", ") + ".\n"
}

/// Escapes text for roff: backslashes, and hyphens, which roff does not print as minus signs. No
/// line of the page may begin with a dot or an apostrophe.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// Returns the manual page.
fn manual_page() -> String {
    let bold = |text: &str| format!("\\fB{}\\fR", roff(text));
    let mut page = format!(
        ".\\\" Written by cargo xtask manual --update.\n.TH MAPCP 1 \"\" \"mapcp {}\" \"User Commands\"\n",
        env!("CARGO_PKG_VERSION")
    );
    page += ".SH NAME\nmapcp \\- copy files by mapping them, and lose nothing when a copy fails\n";
    page += ".SH SYNOPSIS\n";
    let usage = USAGE.map(|usage| {
        let (name, rest) = usage.split_once(' ').unwrap_or((usage, ""));
        format!("{} {}\n", bold(name), roff(rest))
    });
    page += &usage.join(".br\n");
    page += &format!(".SH DESCRIPTION\n{}\n", roff(SUMMARY));
    for paragraph in DESCRIPTION {
        page += &format!(".PP\n{}\n", roff(paragraph));
    }
    page += ".SH OPTIONS\n";
    for option in OPTIONS {
        let short = option.short.map(|letter| bold(&format!("-{letter}")) + ", ");
        let short = short.unwrap_or_default();
        page += &format!(".TP\n{short}{}\n{}\n", bold(&option.long()), roff(option.manual));
    }
    page += &format!(
        ".TP\n{}\nEnds the options. All following arguments are names.\n.SH EXIT STATUS\n",
        bold("--")
    );
    for (code, what) in STATUS {
        page += &format!(
            ".TP\n{}\n{}{}.\n",
            bold(&code.to_string()),
            what[..1].to_uppercase(),
            &what[1..]
        );
    }
    page += ".SH LIMITS\n";
    for limit in LIMITS {
        page += &format!(".IP \\(bu 2\n{}\n", roff(limit));
    }
    page += &format!(".SH DIFFERENCES FROM CP\n{}\n", roff(DIFFERENCES));
    for (what, why) in CP {
        page += &format!(".TP\n{}\n{}\n", bold(what), roff(why));
    }
    page += ".SH EXAMPLES\n";
    for (command, what) in EXAMPLES {
        page += &format!(".TP\n{}\n{}\n", bold(command), roff(what));
    }
    page + ".SH SEE ALSO\n.BR cp (1),\n.BR mmap (2),\n.BR copy_file_range (2),\n.BR ioctl_ficlone (2)\n"
}

const DESCRIPTION: &[&str] = &[
    "The data goes to an unnamed temporary file in the directory of DEST. The file takes the name \
     of DEST when it is complete. A copy that fails or is killed leaves the old DEST unchanged. A \
     full disk, a resource limit, or a SOURCE that is truncated during the copy causes one line on \
     standard error and status 1, never a signal.",
    "With several SOURCEs, or if DEST is a directory, each copy gets the last name of its SOURCE in \
     the directory DEST. A SOURCE that fails is reported, and the others are copied. Of two SOURCEs \
     with one last name, the second is an error, unless both are directories, which are merged. \
     Options may stand before, between and after the operands. Of options that exclude each other, \
     the last one counts.",
    "A new DEST belongs to the caller, and has the permissions of SOURCE without the set-ID and \
     sticky bits, less the umask. When all is copied, a line with the number of bytes, such as \
     Copied 8 bytes, is printed to standard output; of several files, also their number.",
    "An existing DEST keeps its permissions, access list and owner. A symbolic link is followed. \
     Holes stay holes. If a system call is refused with an error, mapcp falls back to an older one, \
     and in the end to what cp does: it opens DEST, writes to it and closes it. A copy that is \
     made in this way is not atomic. --verbose says in place for it, and --atomic refuses it. If a \
     file system is full, an existing DEST is not overwritten.",
    "If DEST is -, /dev/stdout, /dev/fd/N, or another name of an open descriptor, the data is \
     written to the descriptor at its position, and nothing is replaced. The line with the number \
     of bytes is not printed if standard output is, or leads to the same file or pipe as, a \
     DEST. Called by the name cp, mapcp prints no such line, and a DEST of - is a file; its messages \
     begin with cp, those of --verbose are those of cp, and an error in the command line is status \
     1.",
];

const LIMITS: &[&str] = &[
    "An existing DEST is replaced by a new file, which does not keep the hard links and \
     extended attributes of the old one. --in-place keeps both.",
    "Without --sync, the kernel writes the data to the disk after mapcp has exited with \
     status 0. If this write fails (the disk is broken or removed, or a network file system is \
     full), or the power fails, the new DEST is damaged and the old one is gone. With --sync, \
     such an error is reported, and after a power cut DEST is the old file or the new one.",
    "When an existing file is replaced, the complete copy has a temporary name for some \
     microseconds: .mapcp- and 16 hexadecimal digits. On a file system without O_TMPFILE, the \
     copy has this name from the start. On a file system with names of eight characters and an \
     extension of three, the name is eight digits and .mcp. If a signal other than SIGKILL ends \
     mapcp, the name is removed. After SIGKILL, the next copy to the same DEST removes it.",
    "On a file system that ignores chmod(2), an existing DEST is replaced only if its \
     permissions are those that the umask gives a new file. Otherwise it is written in place.",
    "In a directory whose names cannot be removed, and where only an attempt shows this (a policy \
     of SELinux, or access lists of a server), one empty file with a temporary name is left.",
    "An existing DEST keeps its flags of chattr(1) A, C, c, d, j, m, S, t and x, where the \
     caller may set them. A DEST with the flag a or i cannot be replaced. Other flags are those \
     of a new file in its directory, such as P, e, F and V.",
    "A file with fewer blocks than bytes is taken for a sparse file. Its holes, and pages of \
     zeros, take no space in DEST. With --method=kernel, only the holes that the file system \
     reports stay holes. Space is not preallocated on btrfs, because btrfs does not compress \
     data in preallocated space.",
    "A SOURCE that other processes write to during the copy is copied as it is found, with the \
     length that it had at the start. A SOURCE that cannot be mapped, or ends before the size \
     that its file system reports, is read up to its end. With --method, an early end is an \
     error, and so is a SOURCE that map or write cannot map.",
    "If an attribute does not fit DEST, or a file system ignores chmod(2), -p copies the data and \
     the other attributes, and then fails with a message that names the attribute. Attributes \
     that the file system of DEST does not have at all are left out in silence.",
    "On hugetlbfs, DEST must be new or be replaced, and SOURCE a regular file of whole huge pages.",
    "A filter that kills a process for a system call, instead of refusing the call with an error, \
     ends mapcp, too.",
    "If another process truncates an --in-place DEST at the wrong moment, the file may \
     contain zeros, and no error is reported.",
];

const DIFFERENCES: &str = "\
Called with the same options, mapcp does as GNU cp 9.1 and 9.10 do, but for these. Where the two \
versions differ, mapcp follows 9.10: -n skips a file with status 0, and --update takes a value.";

/// What cp does otherwise, or can do and `mapcp` cannot.
const CP: &[(&str, &str)] = &[
    (
        "an existing file",
        "is replaced by a new file, so that its other hard links keep the old \
     contents. cp writes into it. --in-place does as cp.",
    ),
    ("-p", "also keeps extended attributes, as --preserve=mode,ownership,timestamps,xattr."),
    (
        "--preserve=mode",
        "drops the set-ID bits unless the copy has the owner of SOURCE. cp keeps them.",
    ),
    ("a directory into itself", "is refused before anything is copied. cp copies a part of it."),
    (
        "a hard link that cannot be made",
        "between two copies is reported, and the file is copied. \
     cp leaves the file out.",
    ),
    ("-b, --backup, -S", "are not there."),
    ("--attributes-only, --copy-contents", "are not there."),
    ("--keep-directory-symlink", "is not there."),
    ("--no-preserve", "is not there."),
    ("--parents", "is not there."),
    ("--remove-destination, --strip-trailing-slashes", "are not there."),
    ("-Z, --context", "are not there. --preserve=context is --preserve=xattr."),
    ("--debug", "is not there. -v prints the method."),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("mapcp -a project /mnt/backup/", "Copies a directory with everything that is in it."),
    (
        "mapcp -au project /mnt/backup/",
        "Finishes that copy after it was interrupted, or brings it \
     up to date.",
    ),
    ("mapcp disk.img /mnt/backup/", "Copies disk.img into a directory."),
    ("mapcp --sync new.conf /etc/app.conf", "Replaces a file so that it survives a power cut."),
    ("mapcp -j4 --progress big.img copy.img", "Copies a large file by four processes."),
];

/// Returns the completions for bash.
fn bash() -> String {
    let mut cases = String::new();
    for option in OPTIONS.iter().filter(|option| !option.words().is_empty()) {
        let words = option.words().join(" ");
        cases += &format!("        --{}=*) words=\"{words}\" ;;\n", option.long);
    }
    let all: Vec<String> = OPTIONS
        .iter()
        .flat_map(|option| {
            let equals = if option.words().is_empty() { "" } else { "=" };
            let short = option.short.map(|letter| format!("-{letter}"));
            short.into_iter().chain([format!("--{}{equals}", option.long)])
        })
        .collect();
    format!(
        "# bash completion for mapcp. Written by cargo xtask manual --update.
_mapcp() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} words=
    # Bash makes a value a separate word if COMP_WORDBREAKS contains =.
    if [[ $current == = ]]; then current=; fi
    local before=${{COMP_WORDS[COMP_CWORD-1]}}
    if [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    case $before= in
{cases}    esac
    if [[ -n $words && $before == --* && $before != -- ]]; then
        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W \"{}\" -- \"$current\")
        [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace
    else
        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")
        compopt -o filenames
    fi
}}
complete -F _mapcp mapcp
",
        all.join(" ")
    )
}

/// Returns the completions for zsh.
fn zsh() -> String {
    let mut text =
        "#compdef mapcp\n# Written by cargo xtask manual --update.\n_arguments -S \\\n".to_owned();
    for option in OPTIONS {
        let value = match option.value {
            Nothing => String::new(),
            Required(name, words) | Optional(name, words) if !words.is_empty() => {
                format!(":{name}:({})", words.join(" "))
            }
            Required(name, _) | Optional(name, _) => format!(":{name}:"),
        };
        let equals = match option.value {
            Nothing => "",
            Required(..) => "=",
            Optional(..) => "=-",
        };
        let value = if matches!(option.value, Optional(..)) { format!(":{value}") } else { value };
        let help = option.help.replace(':', "\\:");
        if let Some(letter) = option.short {
            let plus = if equals.is_empty() { "" } else { "+" };
            text += &format!("    '-{letter}{plus}[{help}]{value}' \\\n");
        }
        text += &format!("    '--{}{equals}[{help}]{value}' \\\n", option.long);
    }
    text + "    '*:file:_files'\n"
}

/// Returns the completions for fish.
fn fish() -> String {
    let mut text = "# Written by cargo xtask manual --update.\n".to_owned();
    for option in OPTIONS {
        text += "complete -c mapcp";
        if let Some(letter) = option.short {
            text += &format!(" -s {letter}");
        }
        text += &format!(" -l {}", option.long);
        match option.value {
            Nothing => {}
            Required(_, []) => text += " -x",
            Required(_, words) => text += &format!(" -x -a '{}'", words.join(" ")),
            Optional(_, words) => text += &format!(" -f -a '{}'", words.join(" ")),
        }
        text += &format!(" -d '{}'\n", option.help);
    }
    text
}

/// Returns the names of the generated files, and their contents.
fn files() -> [(&'static str, String); 5] {
    [
        ("src/bin/mapcp/help.txt", help()),
        ("docs/mapcp.1", manual_page()),
        ("completions/mapcp.bash", bash()),
        ("completions/_mapcp", zsh()),
        ("completions/mapcp.fish", fish()),
    ]
}

/// Compares the generated files with the table of options, or writes them if `update`, and checks
/// that `mapcp` accepts every option of the table.
pub fn manual(update: bool) -> Result<ExitCode, String> {
    for (name, text) in files() {
        let path = root().join(name);
        if update {
            let dir = path.parent().expect("in a directory");
            fs::create_dir_all(dir).map_err(|error| format!("{name}: {error}"))?;
            fs::write(&path, text).map_err(|error| format!("{name}: {error}"))?;
        } else if fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))? != text {
            return Err(format!("{name} differs from the table of options; --update writes it"));
        }
    }
    accepts_every_option()?;
    println!("test result: ok. {} passed; 0 failed", files().len() + OPTIONS.len());
    Ok(ExitCode::SUCCESS)
}

/// Runs `mapcp --help` with each option and each of its words, and fails if one is not accepted.
fn accepts_every_option() -> Result<(), String> {
    let build = cargo(&["build", "--quiet", "--release", "--bin", "mapcp"]).status();
    if !build.is_ok_and(|status| status.success()) {
        return Err("mapcp does not build".to_owned());
    }
    let mapcp = root().join("target/release/mapcp");
    let accepts = |argument: &str| {
        let output = Command::new(&mapcp).args([argument, "--help"]).output();
        output.is_ok_and(|output| output.status.success() && output.stdout == help().as_bytes())
    };
    for option in OPTIONS {
        let long = option.long;
        let mut arguments: Vec<String> = match option.value {
            Required("N", _) => vec![format!("--{long}=2"), format!("--{long}=64")],
            Required("DIR", _) => vec![format!("--{long}=dir")],
            Required(..) => Vec::new(),
            Nothing | Optional(..) => vec![format!("--{long}")],
        };
        arguments.extend(option.words().iter().map(|word| format!("--{long}={word}")));
        if let (Some(letter), Nothing) = (option.short, &option.value) {
            arguments.push(format!("-{letter}"));
        }
        if long == "version" {
            continue; // It prints the version instead.
        }
        if let Some(refused) = arguments.iter().find(|argument| !accepts(argument)) {
            return Err(format!("mapcp does not accept {refused}, or prints another --help"));
        }
    }
    Ok(())
}
