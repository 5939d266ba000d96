//! A program that uses memmap2 compiles with this crate as it is, and does the same: one source,
//! compiled with each of the two.

#[allow(clippy::duplicate_mod, reason = "that is the point")]
#[path = "programs"]
mod ours {
    use ::memmap2;
    #[path = "behaviours.rs"]
    mod behaviours;
    #[path = "documented.rs"]
    mod documented;
}

#[allow(clippy::duplicate_mod, reason = "that is the point")]
#[path = "programs"]
mod oracle {
    use ::real as memmap2;
    #[path = "behaviours.rs"]
    mod behaviours;
    #[path = "documented.rs"]
    mod documented;
}
