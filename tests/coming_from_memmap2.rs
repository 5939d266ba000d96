//! A program that uses memmap2 compiles with this crate after a change of its `use` line,
//! and does the same: one source, compiled with each of the two.

#[allow(clippy::duplicate_mod, reason = "that is the point")]
#[path = "programs"]
mod ours {
    use baremap as memmap2;
    #[path = "memmap2.rs"]
    mod programs;
}

#[allow(clippy::duplicate_mod, reason = "as above")]
#[path = "programs"]
mod oracle {
    use ::memmap2;
    #[path = "memmap2.rs"]
    mod programs;
}
