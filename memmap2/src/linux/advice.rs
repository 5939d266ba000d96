//! Advice to the kernel, with exactly memmap2's names, so that a `match` can be exhaustive.

macro_rules! advice {
    ($(#[$about:meta])* $advice:ident { $($(#[$doc:meta])* $name:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        #[allow(deprecated, reason = "`Advice::HwPoison`")]
        pub enum $advice {
            $($(#[$doc])* $name = baremap::$advice::$name as i32,)*
        }

        impl $advice {
            /// Returns whether the kernel knows this advice. The kernel may still reject the
            /// advice for some mappings.
            pub fn is_supported(self) -> bool {
                self.ours().is_supported()
            }

            #[allow(deprecated, reason = "`Advice::HwPoison`")]
            pub(super) fn ours(self) -> baremap::$advice {
                match self {
                    $($advice::$name => baremap::$advice::$name,)*
                }
            }
        }
    };
}

advice! {
    /// Advice that does not change the contents of any map. Source: madvise(2).
    Advice {
        /// Restores the default treatment (`MADV_NORMAL`).
        Normal,
        /// Expects accesses in random order, and disables readahead (`MADV_RANDOM`).
        Random,
        /// Expects accesses in sequential order, and increases readahead (`MADV_SEQUENTIAL`).
        Sequential,
        /// Expects accesses soon, and may start to read the pages (`MADV_WILLNEED`).
        WillNeed,
        /// Leaves the pages out of children created by `fork` (`MADV_DONTFORK`). A child must not
        /// drop or access the map, but has to `mem::forget` it, because another mapping may have
        /// its addresses.
        DontFork,
        /// Undoes [`DontFork`](Advice::DontFork) (`MADV_DOFORK`).
        DoFork,
        /// Lets the kernel merge pages with equal contents until they change (`MADV_MERGEABLE`).
        Mergeable,
        /// Undoes [`Mergeable`](Advice::Mergeable) (`MADV_UNMERGEABLE`).
        Unmergeable,
        /// Enables transparent huge pages (`MADV_HUGEPAGE`).
        HugePage,
        /// Disables transparent huge pages (`MADV_NOHUGEPAGE`).
        NoHugePage,
        /// Leaves the pages out of core dumps (`MADV_DONTDUMP`).
        DontDump,
        /// Undoes [`DontDump`](Advice::DontDump) (`MADV_DODUMP`).
        DoDump,
        /// Fails with `EINVAL` in every function, because it destroys contents that safe code may
        /// have a reference to (`MADV_HWPOISON`).
        HwPoison,
        /// Brings the pages into memory for reading (`MADV_POPULATE_READ`, Linux 5.14).
        PopulateRead,
        /// Brings the pages into memory for writing (`MADV_POPULATE_WRITE`, Linux 5.14). `EINVAL`
        /// if the map is not writable.
        PopulateWrite,
    }
}

advice! {
    /// Advice that changes the contents of memory, now or later. Source: madvise(2).
    ///
    /// All three are `EINVAL` for locked pages.
    UncheckedAdvice {
        /// Discards private pages: they show the file again, or are zero (`MADV_DONTNEED`).
        DontNeed,
        /// Lets the kernel discard private anonymous pages, which are then zero, until they are
        /// written to (`MADV_FREE`).
        Free,
        /// Punches a hole into the file in place of the pages (`MADV_REMOVE`).
        Remove,
    }
}
