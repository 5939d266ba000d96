//! Error numbers, with their names and texts.

use core::fmt;

use linux_raw_sys::errno;

use crate::decimal::Decimal;

/// An error number. System calls return numbers from 1 to 4095; [`new`](Errno::new) accepts any.
///
/// `Display` writes the kernel's text and the name, such as `No such file or directory
/// (ENOENT)`, or `Unknown error 5000` for a number without a name. Numbers differ between
/// architectures; names do not.
///
/// Source: errno(3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(u16);

/// The result of a system call.
pub type Result<T> = core::result::Result<T, Errno>;

impl Errno {
    /// The largest error number that a system call returns.
    pub const MAX: u16 = 4095;

    /// Another name of `EAGAIN`.
    pub const EWOULDBLOCK: Errno = Errno::EAGAIN;

    /// Creates an error from its number on this architecture.
    ///
    /// Any number is accepted. A number that the kernel does not use has neither name nor text.
    #[must_use]
    pub const fn new(number: u16) -> Errno {
        Errno(number)
    }

    /// Returns the error's number on this architecture.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Returns the error's name, such as `ENOENT`, or `None` if the number has no name.
    #[doc(alias = "strerrorname_np")]
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.field(0)
    }

    /// Returns the kernel's text, such as `No such file or directory`, or `None` if the number
    /// has no text.
    #[doc(alias = "strerror")]
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        self.field(1)
    }

    /// Splits the result of a raw call: −4095 to −1, seen as a signed number, is an error, and
    /// everything else is a value.
    #[inline]
    pub(crate) const fn check(result: usize) -> Result<usize> {
        if result > (Errno::MAX as usize + 1).wrapping_neg() {
            Err(Errno(result.wrapping_neg() as u16))
        } else {
            Ok(result)
        }
    }

    /// Returns the name (0) or the text (1).
    #[inline(never)]
    fn field(self, which: usize) -> Option<&'static str> {
        let row = NUMBERS.iter().position(|&number| number == self.0)?;
        let text = TEXTS.as_bytes().split(|&byte| byte == 0).nth(2 * row + which)?;
        // SAFETY: the bytes are a part of a `str` that begins and ends at an ASCII character.
        Some(unsafe { core::str::from_utf8_unchecked(text) })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.text(), self.name()) {
            (Some(text), Some(name)) => {
                [text, " (", name, ")"].iter().try_for_each(|part| f.write_str(part))
            }
            _ => {
                f.write_str("Unknown error ")?;
                f.write_str(Decimal::new(self.0.into()).as_str())
            }
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => f.debug_tuple("Errno").field(&self.0).finish(),
        }
    }
}

impl core::error::Error for Errno {}

#[cfg(feature = "std")]
impl From<Errno> for std::io::Error {
    fn from(error: Errno) -> Self {
        std::io::Error::from_raw_os_error(i32::from(error.0))
    }
}

// The names and texts are one string, and the numbers one array. A table of string slices would
// need two relocations for each error, and four times the space.
macro_rules! errors {
    ($($name:ident $text:literal,)*) => {
        impl Errno {
            $(#[doc = concat!($text, ".")] pub const $name: Errno = Errno(errno::$name as u16);)*
        }

        const NUMBERS: &[u16] = &[$(errno::$name as u16),*];
        const TEXTS: &str = concat!($(stringify!($name), "\0", $text, "\0"),*);
    };
}

// The texts are the comments in the kernel's headers, and tests/oracle compares them with the
// crate `syscalls`. The numbers are this architecture's.
errors! {
    EPERM "Operation not permitted",
    ENOENT "No such file or directory",
    ESRCH "No such process",
    EINTR "Interrupted system call",
    EIO "I/O error",
    ENXIO "No such device or address",
    E2BIG "Argument list too long",
    ENOEXEC "Exec format error",
    EBADF "Bad file number",
    ECHILD "No child processes",
    EAGAIN "Try again",
    ENOMEM "Out of memory",
    EACCES "Permission denied",
    EFAULT "Bad address",
    ENOTBLK "Block device required",
    EBUSY "Device or resource busy",
    EEXIST "File exists",
    EXDEV "Cross-device link",
    ENODEV "No such device",
    ENOTDIR "Not a directory",
    EISDIR "Is a directory",
    EINVAL "Invalid argument",
    ENFILE "File table overflow",
    EMFILE "Too many open files",
    ENOTTY "Not a typewriter",
    ETXTBSY "Text file busy",
    EFBIG "File too large",
    ENOSPC "No space left on device",
    ESPIPE "Illegal seek",
    EROFS "Read-only file system",
    EMLINK "Too many links",
    EPIPE "Broken pipe",
    EDOM "Math argument out of domain of func",
    ERANGE "Math result not representable",
    EDEADLK "Resource deadlock would occur",
    ENAMETOOLONG "File name too long",
    ENOLCK "No record locks available",
    ENOSYS "Invalid system call number",
    ENOTEMPTY "Directory not empty",
    ELOOP "Too many symbolic links encountered",
    ENOMSG "No message of desired type",
    EIDRM "Identifier removed",
    ECHRNG "Channel number out of range",
    EL2NSYNC "Level 2 not synchronized",
    EL3HLT "Level 3 halted",
    EL3RST "Level 3 reset",
    ELNRNG "Link number out of range",
    EUNATCH "Protocol driver not attached",
    ENOCSI "No CSI structure available",
    EL2HLT "Level 2 halted",
    EBADE "Invalid exchange",
    EBADR "Invalid request descriptor",
    EXFULL "Exchange full",
    ENOANO "No anode",
    EBADRQC "Invalid request code",
    EBADSLT "Invalid slot",
    EBFONT "Bad font file format",
    ENOSTR "Device not a stream",
    ENODATA "No data available",
    ETIME "Timer expired",
    ENOSR "Out of streams resources",
    ENONET "Machine is not on the network",
    ENOPKG "Package not installed",
    EREMOTE "Object is remote",
    ENOLINK "Link has been severed",
    EADV "Advertise error",
    ESRMNT "Srmount error",
    ECOMM "Communication error on send",
    EPROTO "Protocol error",
    EMULTIHOP "Multihop attempted",
    EDOTDOT "RFS specific error",
    EBADMSG "Not a data message",
    EOVERFLOW "Value too large for defined data type",
    ENOTUNIQ "Name not unique on network",
    EBADFD "File descriptor in bad state",
    EREMCHG "Remote address changed",
    ELIBACC "Can not access a needed shared library",
    ELIBBAD "Accessing a corrupted shared library",
    ELIBSCN ".lib section in a.out corrupted",
    ELIBMAX "Attempting to link in too many shared libraries",
    ELIBEXEC "Cannot exec a shared library directly",
    EILSEQ "Illegal byte sequence",
    ERESTART "Interrupted system call should be restarted",
    ESTRPIPE "Streams pipe error",
    EUSERS "Too many users",
    ENOTSOCK "Socket operation on non-socket",
    EDESTADDRREQ "Destination address required",
    EMSGSIZE "Message too long",
    EPROTOTYPE "Protocol wrong type for socket",
    ENOPROTOOPT "Protocol not available",
    EPROTONOSUPPORT "Protocol not supported",
    ESOCKTNOSUPPORT "Socket type not supported",
    EOPNOTSUPP "Operation not supported on transport endpoint",
    EPFNOSUPPORT "Protocol family not supported",
    EAFNOSUPPORT "Address family not supported by protocol",
    EADDRINUSE "Address already in use",
    EADDRNOTAVAIL "Cannot assign requested address",
    ENETDOWN "Network is down",
    ENETUNREACH "Network is unreachable",
    ENETRESET "Network dropped connection because of reset",
    ECONNABORTED "Software caused connection abort",
    ECONNRESET "Connection reset by peer",
    ENOBUFS "No buffer space available",
    EISCONN "Transport endpoint is already connected",
    ENOTCONN "Transport endpoint is not connected",
    ESHUTDOWN "Cannot send after transport endpoint shutdown",
    ETOOMANYREFS "Too many references: cannot splice",
    ETIMEDOUT "Connection timed out",
    ECONNREFUSED "Connection refused",
    EHOSTDOWN "Host is down",
    EHOSTUNREACH "No route to host",
    EALREADY "Operation already in progress",
    EINPROGRESS "Operation now in progress",
    ESTALE "Stale file handle",
    EUCLEAN "Structure needs cleaning",
    ENOTNAM "Not a XENIX named type file",
    ENAVAIL "No XENIX semaphores available",
    EISNAM "Is a named type file",
    EREMOTEIO "Remote I/O error",
    EDQUOT "Quota exceeded",
    ENOMEDIUM "No medium found",
    EMEDIUMTYPE "Wrong medium type",
    ECANCELED "Operation Canceled",
    ENOKEY "Required key not available",
    EKEYEXPIRED "Key has expired",
    EKEYREVOKED "Key has been revoked",
    EKEYREJECTED "Key was rejected by service",
    EOWNERDEAD "Owner died",
    ENOTRECOVERABLE "State not recoverable",
    ERFKILL "Operation not possible due to RF-kill",
    EHWPOISON "Memory page has hardware error",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::ToString};

    #[test]
    fn the_whole_range_and_no_more_is_an_error() {
        assert_eq!(Errno::check(0), Ok(0));
        assert_eq!(Errno::check(usize::MAX), Err(Errno(1)));
        assert_eq!(Errno::check(4095usize.wrapping_neg()), Err(Errno(4095)));
        assert_eq!(Errno::check(4096usize.wrapping_neg()), Ok(4096usize.wrapping_neg()));
        assert_eq!(Errno::check(1 << (usize::BITS - 1)), Ok(1 << (usize::BITS - 1)));
    }

    #[test]
    fn shown_as_text_and_name() {
        assert_eq!(Errno::ENOENT.to_string(), "No such file or directory (ENOENT)");
        assert_eq!(Errno::EHWPOISON.to_string(), "Memory page has hardware error (EHWPOISON)");
        assert_eq!(Errno(4000).to_string(), "Unknown error 4000");
        assert_eq!(format!("{:?} {:?}", Errno::EPERM, Errno(4000)), "EPERM Errno(4000)");
    }
}
