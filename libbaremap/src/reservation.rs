//! Reserved address space.

use core::{
    ffi::{c_int, c_void},
    ops::Range,
    ptr,
};

use baremap::{map::Reservation, syscall::Errno};

use crate::support::{free_handle, non_null, status, store_handle};

/// A reserved range of address space, in which memory is committed page by page and does not move.
///
/// One thread at a time may call functions for a reservation. Any thread may use committed memory.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct baremap_reservation(Reservation);

/// Reserves `len` bytes of address space, rounded up to whole pages. Stores the reservation in
/// `*reservation`.
///
/// The first byte is aligned to `align` bytes, a power of two, or to a page if `align` is zero. No
/// byte can be accessed before it is committed.
///
/// Errors:
///
/// * -EINVAL if `align` is not a power of two.
/// * -ENOMEM if there is not enough contiguous address space (RLIMIT_AS), or if the process has too
///   many mappings (vm.max_map_count).
/// * -EOVERFLOW if `len + align`, rounded up, is more than SSIZE_MAX.
/// * -EFAULT if `reservation` is not a valid address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_reservation_new(
    len: usize,
    align: usize,
    reservation: *mut *mut baremap_reservation,
) -> c_int {
    let new = Reservation::aligned(len, if align == 0 { 1 } else { align });
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(new.map(baremap_reservation), reservation) }
}

/// Returns the address of the first byte. NULL if `reservation` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_reservation_ptr(
    reservation: Option<&baremap_reservation>,
) -> *mut c_void {
    reservation.map_or(ptr::null_mut(), |reservation| reservation.0.as_mut_ptr().cast())
}

/// Returns the length in bytes, a multiple of the page size. Zero if `reservation` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_reservation_len(
    reservation: Option<&baremap_reservation>,
) -> usize {
    reservation.map_or(0, |reservation| reservation.0.len())
}

/// Commits memory for every page that contains one of the `len` bytes at the offset `start`.
///
/// Pages that were committed before keep their contents. Other pages are zero. A no-op if `len` is
/// zero.
///
/// Errors:
///
/// * -EINVAL if `reservation` is NULL, or if the range is not inside the reservation.
/// * -ENOMEM if the kernel cannot commit the memory, or if the process has too many mappings
///   (vm.max_map_count). Some of the pages may be committed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_reservation_commit(
    reservation: Option<&mut baremap_reservation>,
    start: usize,
    len: usize,
) -> c_int {
    status(in_range(reservation, start, len, |it, range| it.commit(range).map(drop)))
}

/// Frees the memory of a range of whole pages, and reserves the pages again. A no-op if `len` is
/// zero.
///
/// Errors:
///
/// * -EINVAL if `reservation` is NULL, or if the range is not inside the reservation, or does not
///   begin and end at multiples of the page size.
/// * -ENOMEM if the process has too many mappings (vm.max_map_count).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_reservation_decommit(
    reservation: Option<&mut baremap_reservation>,
    start: usize,
    len: usize,
) -> c_int {
    status(in_range(reservation, start, len, Reservation::decommit))
}

/// Frees the memory of a range of whole pages, and makes them guard pages, which cannot be
/// accessed. A no-op if `len` is zero.
///
/// Since Linux 6.13, guard pages need no mappings of their own (MADV_GUARD_INSTALL). On older
/// kernels, the function falls back to baremap_reservation_decommit().
///
/// Errors:
///
/// * -EINVAL if `reservation` is NULL, or if the range is not inside the reservation, or does not
///   begin and end at multiples of the page size.
/// * -ENOMEM if there is no memory for page tables, or if the process has too many mappings
///   (vm.max_map_count).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_reservation_guard_pages(
    reservation: Option<&mut baremap_reservation>,
    start: usize,
    len: usize,
) -> c_int {
    status(in_range(reservation, start, len, Reservation::guard_pages))
}

/// Unmaps all pages, committed or not, and frees the reservation. A no-op if `reservation` is
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_reservation_free(reservation: *mut baremap_reservation) {
    // SAFETY: the caller passes a reservation that is not used again, or null.
    unsafe { free_handle(reservation) }
}

fn in_range(
    reservation: Option<&mut baremap_reservation>,
    start: usize,
    len: usize,
    apply: impl FnOnce(&mut Reservation, Range<usize>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let end = start.checked_add(len).ok_or(Errno::EINVAL)?;
    apply(&mut non_null(reservation)?.0, start..end)
}
