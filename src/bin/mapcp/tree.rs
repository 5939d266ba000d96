//! Copies several files, or trees, as the options of cp ask.

use super::*;
use baremap::copy::{Content, Done, Follow, Observer, TreeCopy, TreeOptions, Update, What};
use baremap::rt::{STDERR, STDIN};

/// Completes the options of the command line, whose defaults depend on each other as in GNU cp.
pub fn options(settings: &Settings<'_>) -> TreeOptions {
    let mut options = settings.tree;
    let copies_links = options.recursive && options.content != Content::HardLink;
    let default = if copies_links { Follow::Never } else { Follow::Always };
    options.follow = settings.follow.unwrap_or(default);
    if options.file.no_clobber {
        (options.update, options.ask) = (Update::None, false);
    }
    options.file.no_clobber = matches!(options.update, Update::None | Update::NoneFail);
    options
}

/// Prepares the copies of the sources to DEST, or reports why there can be none.
pub fn prepare<'a>(
    options: &'a TreeOptions,
    settings: &Settings<'a>,
    dest: &'a CStr,
) -> Result<TreeCopy<'a>, Error<'a>> {
    let is_directory = !settings.no_target && check_directory(dest).is_ok();
    if settings.target.is_some() || is_directory {
        TreeCopy::into_directory(options, dest)
    } else {
        TreeCopy::to_path(options, dest)
    }
}

impl Observer for Totals<'_> {
    fn failed(&mut self, error: Error<'_>) {
        self.progress.clear();
        self.failures += 1;
        self.fail(error);
    }

    fn done(&mut self, done: Done<'_>) {
        let (from, to) = (done.source, done.dest);
        let what = match done.what {
            What::Copied(bytes, method) => {
                self.files += 1;
                self.bytes += bytes;
                if self.settings.verbose {
                    self.progress.clear();
                    let bytes = Decimal::new(bytes);
                    self.print(format_args!("{from} -> {to} ({bytes} bytes, {method})\n"));
                }
                return;
            }
            What::Skipped => "left unchanged",
            What::HardLink => "hard link",
            What::Symlink => "symbolic link",
            What::Directory => "directory",
            _ => "special file",
        };
        if !matches!(done.what, What::Skipped | What::Directory) {
            self.files += 1;
        }
        if self.settings.verbose {
            self.progress.clear();
            self.print(format_args!("{from} -> {to} ({what})\n"));
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        // The total is that of one file. That of the tree is not known.
        if self.is_tree {
            self.progress.show(self.bytes + done, None, Some(self.files));
        } else {
            self.progress.show(done, total, None);
        }
    }

    fn may_replace(&mut self, dest: Path<'_>) -> bool {
        self.progress.clear();
        let _ = rt::print(STDERR, format_args!("mapcp: overwrite {dest}? "));
        let (mut answer, mut byte) = (None, [0]);
        // Standard input may be shared with other programs, so no more than the line is read.
        while let Ok(1) = syscall::read(STDIN, &mut byte) {
            let [byte] = byte;
            if byte == b'\n' {
                break;
            }
            answer.get_or_insert(byte);
        }
        matches!(answer, Some(b'y' | b'Y'))
    }
}
