//! A ring buffer whose memory is mapped twice.

use core::ffi::{c_int, c_void};

use baremap::{map::Ring, syscall::Errno};

use crate::support::{copy, count, free_handle, non_null, ssize_t, status, store, store_handle};

/// A ring buffer in which all readable bytes are contiguous, and so is all free space.
///
/// One thread at a time may use a ring. A child created by fork(2) does not have the memory: there
/// the functions return -EFAULT.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct baremap_ring(Ring);

/// Creates an empty ring for `capacity` bytes, rounded up to whole pages. Stores the ring in
/// `*ring`.
///
/// Errors:
///
/// * -ENOMEM or -ENOSPC if there is not enough memory or contiguous address space.
/// * -EMFILE or -ENFILE if no file descriptor is free. One is used until the ring is created.
/// * -EFBIG if `capacity` is more than RLIMIT_FSIZE. The process is then also sent SIGXFSZ.
/// * -EOVERFLOW if `capacity` is more than half of SSIZE_MAX.
/// * -EINVAL before Linux 4.14.
/// * -EFAULT if `ring` is not a valid address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_new(capacity: usize, ring: *mut *mut baremap_ring) -> c_int {
    // SAFETY: the program is in C and has no references.
    unsafe { store_handle(Ring::new(capacity).map(baremap_ring), ring) }
}

/// Returns the capacity in bytes, a multiple of the page size. Zero if `ring` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_capacity(ring: Option<&baremap_ring>) -> usize {
    ring.map_or(0, |ring| ring.0.capacity())
}

/// Stores the address and the number of all readable bytes in `*bytes` and `*len`, the oldest byte
/// first. They stay readable until baremap_ring_consume() removes them.
///
/// Errors:
///
/// * -EFAULT in a child of the process that created the ring, or if `bytes` or `len` is not a valid
///   address.
/// * -EINVAL if `ring` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_readable(
    ring: Option<&mut baremap_ring>,
    bytes: *mut *const c_void,
    len: *mut usize,
) -> c_int {
    status(accessible(ring).and_then(|ring| {
        let readable = ring.readable();
        // SAFETY: the program is in C and has no references.
        unsafe {
            store(bytes, readable.as_ptr().cast())?;
            store(len, readable.len())
        }
    }))
}

/// Removes the `count` oldest bytes, which makes room for new ones.
///
/// Errors:
///
/// * -EINVAL if `ring` is NULL, or if fewer than `count` bytes are readable.
/// * -EFAULT in a child of the process that created the ring.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_consume(
    ring: Option<&mut baremap_ring>,
    count: usize,
) -> c_int {
    status(accessible(ring).and_then(|ring| {
        if count > ring.len() {
            return Err(Errno::EINVAL);
        }
        ring.consume(count);
        Ok(())
    }))
}

/// Stores the address and the length of all free space in `*space` and `*len`. What is written to
/// its beginning becomes readable by baremap_ring_produce(). The space contains old bytes.
///
/// Errors:
///
/// * -EFAULT in a child of the process that created the ring, or if `space` or `len` is not a valid
///   address.
/// * -EINVAL if `ring` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_writable(
    ring: Option<&mut baremap_ring>,
    space: *mut *mut c_void,
    len: *mut usize,
) -> c_int {
    status(accessible(ring).and_then(|ring| {
        let writable = ring.writable();
        // SAFETY: the program is in C and has no references.
        unsafe {
            store(space, writable.as_mut_ptr().cast())?;
            store(len, writable.len())
        }
    }))
}

/// Makes the first `count` bytes of the free space readable.
///
/// Errors:
///
/// * -EINVAL if `ring` is NULL, or if the free space is shorter than `count` bytes.
/// * -EFAULT in a child of the process that created the ring.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_produce(
    ring: Option<&mut baremap_ring>,
    count: usize,
) -> c_int {
    status(accessible(ring).and_then(|ring| {
        if count > ring.capacity() - ring.len() {
            return Err(Errno::EINVAL);
        }
        ring.produce(count);
        Ok(())
    }))
}

/// Writes up to `len` bytes to the ring, and returns their number: that of the free space if it is
/// less than `len`.
///
/// Errors:
///
/// * -EFAULT in a child of the process that created the ring, or if the first byte of `bytes`
///   cannot be read.
/// * -EINVAL if `ring` is NULL, or if `len` is more than SSIZE_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_push(
    ring: Option<&mut baremap_ring>,
    bytes: *const c_void,
    len: usize,
) -> ssize_t {
    count(accessible(ring).and_then(|ring| {
        let space = ring.writable();
        let len = len.min(space.len());
        // SAFETY: `space` is the only reference to the free space, and the program is in C.
        let done = unsafe { copy(space.as_mut_ptr(), bytes.cast(), len)? };
        ring.produce(done);
        Ok(done)
    }))
}

/// Removes up to `len` bytes from the ring, copies them to a buffer, and returns their number: that
/// of the readable bytes if it is less than `len`.
///
/// Errors:
///
/// * -EFAULT in a child of the process that created the ring, or if the first byte of `buffer`
///   cannot be written.
/// * -EINVAL if `ring` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_pop(
    ring: Option<&mut baremap_ring>,
    buffer: *mut c_void,
    len: usize,
) -> ssize_t {
    count(accessible(ring).and_then(|ring| {
        let readable = ring.readable();
        let len = len.min(readable.len());
        // SAFETY: the program is in C and has no references to the buffer.
        let done = unsafe { copy(buffer.cast(), readable.as_ptr(), len)? };
        ring.consume(done);
        Ok(done)
    }))
}

/// Unmaps and frees the ring. A no-op if `ring` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baremap_ring_free(ring: *mut baremap_ring) {
    // SAFETY: the caller passes a ring that is not used again, or null.
    unsafe { free_handle(ring) }
}

/// Returns the ring if its memory exists in this process.
fn accessible(ring: Option<&mut baremap_ring>) -> Result<&mut Ring, Errno> {
    let ring = &mut non_null(ring)?.0;
    if ring.is_accessible() { Ok(ring) } else { Err(Errno::EFAULT) }
}
