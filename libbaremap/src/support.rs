//! What every function needs: results as error numbers of the kernel, handles, and out-parameters.

use core::{
    ffi::{c_int, c_void},
    ptr,
};

use baremap::{map::guard, syscall::Errno};

#[allow(non_camel_case_types, reason = "the name in C")]
pub type ssize_t = isize;

/// Returns an error number as the kernel returns it.
pub fn failure(errno: Errno) -> c_int {
    -c_int::from(errno.number())
}

/// Returns zero, or a negative error number.
pub fn status(result: Result<(), Errno>) -> c_int {
    result.map_or_else(failure, |()| 0)
}

/// Returns a number of bytes, or a negative error number.
pub fn count(result: Result<usize, Errno>) -> ssize_t {
    // No object is longer than `isize::MAX`.
    result.map_or_else(|errno| failure(errno) as ssize_t, |count| count as ssize_t)
}

/// Returns 1 for true, 0 for false, or a negative error number.
pub fn boolean(result: Result<bool, Errno>) -> c_int {
    result.map_or_else(failure, c_int::from)
}

/// Returns the value that a pointer refers to, or `EINVAL` for a null pointer.
pub fn non_null<T>(pointer: Option<T>) -> Result<T, Errno> {
    pointer.ok_or(Errno::EINVAL)
}

/// Copies bytes between any two addresses, and returns the number of bytes before the first one
/// that cannot be accessed. `EFAULT` if that is the first byte of the range.
///
/// # Safety
///
/// * The requirements of [`guard::copy`].
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> Result<usize, Errno> {
    if len > isize::MAX as usize {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the caller meets these requirements.
    match unsafe { guard::copy(from, to, len) } {
        Ok(()) => Ok(len),
        // The handler may not be installed, which has an error of its own.
        Err(left) if left == len => Err(guard::install().err().unwrap_or(Errno::EFAULT)),
        Err(left) => Ok(len - left),
    }
}

/// Stores a value at the address of an out-parameter. `EFAULT` if there is no memory.
///
/// # Safety
///
/// * The program has no reference to the memory of a `T` at `to`.
pub unsafe fn store<T>(to: *mut T, value: T) -> Result<(), Errno> {
    let (to, from, len) = (to.cast(), (&raw const value).cast(), size_of::<T>());
    // SAFETY: the caller has no reference to the memory at `to`, and `value` is owned.
    let done = unsafe {
        match copy(to, from, len) {
            Err(Errno::EFAULT) => return Err(Errno::EFAULT),
            // There is no signal handler, because the program forbids it.
            Err(_) => guard::copy_without_signals(from, to, len)?,
            Ok(done) => done,
        }
    };
    if done == len { Ok(()) } else { Err(Errno::EFAULT) }
}

// Values for C are in the memory of malloc(3), so that valgrind and address sanitizers report one
// that is not freed, and because it works in a child of a process with several threads.
unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
}

/// Moves a value to memory from malloc(3), and stores its address, the handle, at `to`.
///
/// # Safety
///
/// * The program has no reference to the memory of a pointer at `to`.
pub unsafe fn store_handle<T>(value: Result<T, Errno>, to: *mut *mut T) -> c_int {
    const { assert!(align_of::<T>() <= align_of::<u64>(), "malloc(3) aligns to the basic types") };
    let stored = || {
        let value = value?;
        // SAFETY: malloc(3) has no requirements.
        let memory: *mut T = unsafe { malloc(size_of::<T>()) }.cast();
        if memory.is_null() {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: the memory is large enough for the value, and aligned. If the caller cannot
        // receive its address, nobody else has it.
        unsafe {
            memory.write(value);
            store(to, memory).inspect_err(|_| free_handle(memory))
        }
    };
    status(stored())
}

/// Drops the value of a handle, and frees its memory. A no-op for a null pointer.
///
/// # Safety
///
/// * `memory` is null, or comes from `store_handle` and is not used again.
pub unsafe fn free_handle<T>(memory: *mut T) {
    if !memory.is_null() {
        // SAFETY: the memory holds a value that is not used again.
        unsafe {
            ptr::drop_in_place(memory);
            free(memory.cast());
        }
    }
}
