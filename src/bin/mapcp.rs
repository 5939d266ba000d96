//! `mapcp SOURCE DEST`: copies a file by mapping both sides, without libc.

#![no_std]
#![no_main]
#![cfg_attr(any(target_arch = "mips", target_arch = "mips64"), feature(asm_experimental_arch))]

use core::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use baremap::{
    Decimal,
    copy::{self, Cause, Quoted},
    eprintln,
    rt::{self, ExitCode, STDOUT, Start},
    syscall::{self, Disposition, SaFlags, SigInfo, SigSet, Sigaction, Signal},
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

/// The source's path, for the handler.
static SOURCE: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());

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

    report_a_shrinking_source(source);
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

/// Makes of a mapped page that is gone a message, and the exit status of a failure.
#[inline(never)]
fn report_a_shrinking_source(source: &'static CStr) {
    SOURCE.store(source.as_ptr().cast_mut(), Relaxed);
    let action = Sigaction {
        disposition: Disposition::Info(on_bus_error),
        flags: SaFlags::RESETHAND,
        mask: SigSet::empty(),
    };
    // SAFETY: the handler makes system calls, and uses nothing else that it could
    // find in the middle of a change. Without it, the signal ends the process.
    let _ = unsafe { syscall::rt_sigaction(Signal::BUS, Some(&action)) };
}

unsafe extern "C" fn on_bus_error(_: c_int, info: *mut SigInfo, _: *mut c_void) {
    // SAFETY: the kernel passes the handler what it asked for.
    if unsafe { &*info }.code() != syscall::BUS_ADRERR {
        // Not a page that is gone: again, and now by the default action.
        return;
    }
    // SAFETY: an argument of the program's, which stays.
    let source = unsafe { CStr::from_ptr(SOURCE.load(Relaxed)) };
    eprintln!("mapcp: {}", copy::Error { action: "copy", path: source, cause: Cause::Shrunk });
    syscall::exit_group(1)
}
