//! `mapcp SOURCE DEST`: copies a file by mapping both sides, without libc.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

use baremap::{
    Decimal,
    copy::{self, Quoted},
    eprintln,
    rt::{self, ExitCode, STDOUT, Start},
    syscall,
};

baremap::entry!(main);

const HELP: &str = "\
Usage: mapcp SOURCE DEST

Copies a file by mapping it. DEST is replaced when the copy is complete, or is
as it was. It keeps its permissions; a new one gets SOURCE's less the umask.

  -h, --help     print this
  -V, --version  print the version
  --             only names follow

Exit status: 0 copied, 1 not copied, 2 wrong usage.
";

const VERSION: &str = concat!("mapcp ", env!("CARGO_PKG_VERSION"), "\n");

const USAGE: ExitCode = ExitCode(2);

fn main(start: Start) -> ExitCode {
    let mut names = [None; 2];
    let mut count = 0;
    let mut only_names = false;
    let mut arguments = start.args();
    let _own_name = arguments.next();
    for argument in arguments {
        match argument.to_bytes() {
            b"--" if !only_names => only_names = true,
            b"-h" | b"--help" if !only_names => {
                return done(rt::write_all(STDOUT, HELP.as_bytes()));
            }
            b"-V" | b"--version" if !only_names => {
                return done(rt::write_all(STDOUT, VERSION.as_bytes()));
            }
            [b'-', _, ..] if !only_names => {
                eprintln!("mapcp: unknown option {} (mapcp --help)", Quoted(argument));
                return USAGE;
            }
            _ => {
                if let Some(name) = names.get_mut(count) {
                    *name = Some(argument);
                }
                count += 1;
            }
        }
    }
    let (&[Some(source), Some(dest)], 2) = (&names, count) else {
        eprintln!("mapcp: needs one SOURCE and one DEST (mapcp --help)");
        return USAGE;
    };

    match copy::copy(source, dest) {
        Ok(bytes) => {
            let bytes = Decimal::new(bytes);
            done(rt::print(STDOUT, format_args!("Copied {bytes} bytes\n")))
        }
        Err(error) => {
            eprintln!("mapcp: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The exit status after printing. A line that is lost is a failure: somebody relies
/// on it.
fn done(printed: syscall::Result<()>) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            eprintln!("mapcp: cannot write to standard output: {errno}");
            ExitCode::FAILURE
        }
    }
}
