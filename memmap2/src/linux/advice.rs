//! Advice, with the names that memmap2 has for it: a `match` needs no others.

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
            /// Returns whether this kernel knows the advice.
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
    /// Advice that changes no contents, whatever it is given for. Source: madvise(2).
    Advice {
        /// `MADV_NORMAL`: no special treatment, which is the default.
        Normal,
        /// `MADV_RANDOM`: expect accesses in random order.
        Random,
        /// `MADV_SEQUENTIAL`: expect accesses in sequential order.
        Sequential,
        /// `MADV_WILLNEED`: expect accesses soon.
        WillNeed,
        /// `MADV_DONTFORK`: a child does not inherit the pages.
        DontFork,
        /// `MADV_DOFORK`: undoes [`DontFork`](Advice::DontFork).
        DoFork,
        /// `MADV_MERGEABLE`: the kernel may merge pages of equal contents.
        Mergeable,
        /// `MADV_UNMERGEABLE`: undoes [`Mergeable`](Advice::Mergeable).
        Unmergeable,
        /// `MADV_HUGEPAGE`: the kernel may use transparent huge pages.
        HugePage,
        /// `MADV_NOHUGEPAGE`: the kernel must not use transparent huge pages.
        NoHugePage,
        /// `MADV_DONTDUMP`: leaves the pages out of a core dump.
        DontDump,
        /// `MADV_DODUMP`: undoes [`DontDump`](Advice::DontDump).
        DoDump,
        /// `MADV_HWPOISON`: refused with `EINVAL`, because it destroys contents that safe code
        /// may have a reference to.
        HwPoison,
        /// `MADV_POPULATE_READ`: brings the pages in for reading (Linux 5.14).
        PopulateRead,
        /// `MADV_POPULATE_WRITE`: brings the pages in for writing (Linux 5.14).
        PopulateWrite,
    }
}

advice! {
    /// Advice that changes contents, now or later. Source: madvise(2).
    UncheckedAdvice {
        /// `MADV_DONTNEED`: discards private pages, which then have the file's bytes or zeros.
        DontNeed,
        /// `MADV_FREE`: allows the kernel to discard private anonymous pages until they are
        /// written to.
        Free,
        /// `MADV_REMOVE`: punches a hole into the file.
        Remove,
    }
}
