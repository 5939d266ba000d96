//! The model of a map: a window on the file, and the pages that it has copied.

use super::*;

/// The effect of advice: the read-ahead, and whether the pages are left out in a child and in a
/// core dump. The kernel merges neighbouring pages with equal effects into one mapping.
pub type Advised = (u32, bool, bool);

/// The contents of a map. Pages are counted from the beginning of the file.
pub struct Window {
    /// Whether the map is anonymous memory, which is like a file of zeros without an end.
    pub memory: bool,
    pub offset: usize,
    pub len: usize,
    pub shared: bool,
    pub writable: bool,
    /// Whether the map can be made writable.
    pub may_write: bool,
    /// Private pages that no longer show the file.
    pub copies: BTreeMap<usize, Vec<u8>>,
    pub advised: BTreeMap<usize, Advised>,
    /// Whether pages ever had different advice, so that the kernel may have several mappings.
    pub divided: bool,
}

impl Window {
    /// Returns the mapped pages. An empty map has one page.
    pub fn pages(&self) -> Range<usize> {
        mapped(self.offset, self.len)
    }

    /// Returns the number of bytes that can be accessed.
    pub fn intact_len(&self, file: &[u8]) -> usize {
        if self.memory {
            self.len
        } else {
            up(file.len()).saturating_sub(self.offset).min(self.len)
        }
    }

    pub fn contents(&self, file: &[u8]) -> Vec<u8> {
        let file = if self.memory { &[] } else { file };
        let range = self.offset..self.offset + self.len;
        // In whole pages, so that copies fit.
        let pages = self.pages();
        let whole = pages.start * PAGE..pages.end * PAGE;
        let mut bytes = contents(file, whole.clone());
        for (page, copy) in &self.copies {
            bytes[page * PAGE - whole.start..][..PAGE].copy_from_slice(copy);
        }
        bytes[range.start - whole.start..][..range.len()].to_vec()
    }

    /// Makes a private page a copy.
    pub fn copy(&mut self, page: usize, file: &[u8]) -> &mut Vec<u8> {
        let file = if self.memory { &[] } else { file };
        let copy = || contents(file, page * PAGE..(page + 1) * PAGE);
        self.copies.entry(page).or_insert_with(copy)
    }

    /// Returns whether the kernel has a single mapping, or `None` if that is unknown.
    pub fn is_one(&self) -> Option<bool> {
        let mut all = self.pages().map(|page| self.advised.get(&page).copied().unwrap_or_default());
        let first = all.next();
        let alike = all.all(|next| Some(next) == first);
        if alike && self.divided { None } else { Some(alike) }
    }

    pub fn advise(
        &mut self,
        at: usize,
        len: usize,
        advice: Advice,
        file: &[u8],
    ) -> Result<(), Errno> {
        if at + len > self.len {
            return Err(Errno::EINVAL);
        }
        let pages = pages(self.offset + at..self.offset + at + len);
        let pages = if len == 0 { 0..0 } else { pages };
        let end = if self.memory { usize::MAX } else { up(file.len()) / PAGE };
        match advice {
            Advice::PopulateWrite if !self.writable && len != 0 => return Err(Errno::EINVAL),
            Advice::PopulateRead | Advice::PopulateWrite => {
                if advice == Advice::PopulateWrite && !self.shared {
                    pages.clone().filter(|&page| page < end).for_each(|page| {
                        self.copy(page, file);
                    });
                }
                if pages.end > end {
                    return Err(Errno::EFAULT);
                }
            }
            _ => {
                for page in pages {
                    let (order, no_fork, no_dump) = self.advised.entry(page).or_default();
                    match advice {
                        Advice::Normal | Advice::Random | Advice::Sequential => {
                            *order = advice as u32;
                        }
                        Advice::DontFork => *no_fork = true,
                        Advice::DoFork => *no_fork = false,
                        Advice::DontDump => *no_dump = true,
                        Advice::DoDump => *no_dump = false,
                        _ => {}
                    }
                }
            }
        }
        self.divided |= self.is_one() == Some(false);
        Ok(())
    }
}
