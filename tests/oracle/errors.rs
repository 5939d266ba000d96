//! Names and texts of errors, against the crate `syscalls` and the standard library.

use super::*;

#[test]
fn names_and_texts_of_errors_agree_with_the_crate_syscalls() {
    for number in 0..=Errno::MAX {
        let _case = case!(number);
        let ours = Errno::new(number);
        let oracle = syscalls::Errno::new(number.into());
        assert_eq!(ours.number(), number);
        // Above 133, the oracle has errors that the kernel uses only internally.
        if number <= 133 || ours.name().is_some() {
            assert_eq!(ours.name(), oracle.name(), "{number}");
            assert_eq!(ours.text(), oracle.description(), "{number}");
        }
        let shown = match oracle.name_and_description() {
            Some((name, text)) if number <= 133 => format!("{text} ({name})"),
            _ => format!("Unknown error {number}"),
        };
        assert_eq!(ours.to_string(), shown);
        let debugged = match oracle.name() {
            Some(name) if number <= 133 => name.to_string(),
            _ => format!("Errno({number})"),
        };
        assert_eq!(format!("{ours:?}"), debugged);
    }
    assert_eq!(Errno::EWOULDBLOCK.number(), syscalls::Errno::EWOULDBLOCK.into_raw() as u16);
    let [zero, first, last] = [0, 1, 133].map(|number| Errno::new(number).name());
    assert_eq!((zero, first, last), (None, Some("EPERM"), Some("EHWPOISON")));
}

#[cfg(feature = "std")]
#[test]
fn an_error_of_the_standard_library_keeps_the_number() {
    for number in 1..=133 {
        let _case = case!(number);
        let error = std::io::Error::from(Errno::new(number));
        let oracle = std::io::Error::from_raw_os_error(number.into());
        assert_eq!(error.raw_os_error(), Some(number.into()));
        assert_eq!(error.kind(), oracle.kind());
    }
}
