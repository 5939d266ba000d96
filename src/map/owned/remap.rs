//! The options of resizing a map.

/// Options for resizing a map with [`MmapMut::remap`](crate::map::MmapMut::remap).
///
/// ```
/// use baremap::{MmapMut, RemapOptions};
///
/// let mut map = MmapMut::map_anon(10)?;
/// map[9] = 1;
/// // SAFETY: the map is anonymous memory, and nothing points into it.
/// unsafe { map.remap(1_000_000, RemapOptions::new().may_move(true))? };
/// assert_eq!((map.len(), map[9]), (1_000_000, 1));
/// # Ok::<(), baremap::map::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RemapOptions {
    pub(super) may_move: bool,
}

impl RemapOptions {
    /// Creates options that resize a map in place.
    ///
    /// Growing fails if the addresses behind the map are in use.
    #[must_use]
    pub const fn new() -> RemapOptions {
        RemapOptions { may_move: false }
    }

    /// Sets whether a map that cannot grow in place may move to another address
    /// (`MREMAP_MAYMOVE`). Defaults to `false`.
    #[must_use]
    pub const fn may_move(mut self, may_move: bool) -> RemapOptions {
        self.may_move = may_move;
        self
    }
}
