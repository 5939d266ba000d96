//! How a map is resized.

/// How a map may become longer or shorter.
///
/// ```
/// use baremap::{MmapMut, RemapOptions};
///
/// let mut map = MmapMut::map_anon(10)?;
/// map[9] = 1;
/// // SAFETY: it is memory, and not a file's, and nothing points into it.
/// unsafe { map.remap(1_000_000, RemapOptions::new().may_move(true))? };
/// assert_eq!((map.len(), map[9]), (1_000_000, 1));
/// # Ok::<(), baremap::map::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RemapOptions {
    pub(super) may_move: bool,
}

impl RemapOptions {
    /// Where it is.
    #[must_use]
    pub const fn new() -> RemapOptions {
        RemapOptions { may_move: false }
    }

    /// Whether it may move to where there is room.
    #[must_use]
    pub const fn may_move(mut self, may_move: bool) -> RemapOptions {
        self.may_move = may_move;
        self
    }
}
