//! Names the case of a table or a loop in which a test fails.

#![allow(dead_code, unused_imports, unused_macros, reason = "no test uses all of it")]

/// Prints a case if the test panics before this value is dropped.
pub struct Case(pub String);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the case {}", self.0);
        }
    }
}

/// Names the case by the values of variables: `let _case = case!(offset, len);`.
macro_rules! case {
    ($first:ident $(, $other:ident)*) => {
        $crate::case::Case(format!(
            concat!(stringify!($first), " = {:?}", $(", ", stringify!($other), " = {:?}",)*),
            $first $(, $other)*
        ))
    };
}
pub(crate) use case;
