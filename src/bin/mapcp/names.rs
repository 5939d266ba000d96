//! Remembers the names that were copied to one directory.

use core::{
    ffi::{CStr, c_char},
    slice,
};

use baremap::map::MmapMut;

/// The first character of a name that lives as long as the program, or `None` for a free slot.
type Slot = Option<&'static c_char>;

/// A set of names: a hash table with open addressing.
pub struct Names {
    table: MmapMut,
}

impl Names {
    /// Creates a set for at most `count` names. Returns `None` if there is no memory for it.
    pub fn new(count: u64) -> Option<Names> {
        // At least half of the slots stay free, so that a search ends soon.
        let slots = usize::try_from(count).ok()?.checked_mul(2)?.checked_next_power_of_two()?;
        let bytes = slots.checked_mul(size_of::<Slot>())?;
        Some(Names { table: MmapMut::map_anon(bytes).ok()? })
    }

    /// Returns whether the set contains a name.
    pub fn contains(&mut self, name: &CStr) -> bool {
        self.slot(name).is_some_and(|slot| slot.is_some())
    }

    /// Adds a name.
    pub fn add(&mut self, name: &'static CStr) {
        if let Some(slot) = self.slot(name) {
            // SAFETY: a C string has at least one character, its NUL.
            *slot = Some(unsafe { &*name.as_ptr() });
        }
    }

    /// Returns the slot with a name, or the free slot in which it would be.
    #[inline(never)]
    fn slot(&mut self, name: &CStr) -> Option<&mut Slot> {
        let count = self.table.len() / size_of::<Slot>();
        let first = self.table.as_mut_ptr().cast::<Slot>();
        // SAFETY: the mapping is private, page-aligned and borrowed mutably. Its bytes are zero,
        // which is a free slot, or slots that `add` has written.
        let slots = unsafe { slice::from_raw_parts_mut(first, count) };
        let hash = name
            .to_bytes()
            .iter()
            .fold(5381usize, |hash, &byte| hash.wrapping_mul(33) ^ usize::from(byte));
        let is_here = |slot: &&mut Slot| match slot {
            // SAFETY: `add` has stored the first character of a C string that lives as long as the
            // program, so its other characters may be read, too.
            Some(char) => unsafe { CStr::from_ptr(core::ptr::from_ref(*char)) == name },
            None => true,
        };
        let (before, after) = slots.split_at_mut_checked(hash & (count - 1))?;
        after.iter_mut().chain(before).find(is_here)
    }
}
