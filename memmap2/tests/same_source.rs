//! Compiles the source of a program with memmap2 and with this crate, and expects equal behaviour.

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
