//! Memory for generated code, which is never writable and executable at once.

use core::{
    fmt,
    mem::transmute_copy,
    ops::{Deref, DerefMut},
    result,
};

use crate::map::{ConversionError, Mmap, MmapMut, Result};

/// Memory to write code to, which cannot be executed. It dereferences to a `[u8]`.
///
/// ```
/// use baremap::map::CodeMut;
///
/// // A function that adds 5 to its argument.
/// # #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))] {
/// let add: &[u8] = if cfg!(target_arch = "x86_64") {
///     &[0x8d, 0x47, 5, 0xc3] // lea eax, [rdi + 5]; ret
/// } else if cfg!(target_arch = "aarch64") {
///     &[0x00, 0x14, 0x00, 0x11, 0xc0, 0x03, 0x5f, 0xd6] // add w0, w0, 5; ret
/// } else {
///     &[0x1b, 0x05, 0x55, 0x00, 0x67, 0x80, 0x00, 0x00] // addiw a0, a0, 5; ret
/// };
/// let mut code = CodeMut::new(add.len())?;
/// code.copy_from_slice(add);
/// let code = code.make_exec()?;
/// // SAFETY: the code is that of such a function, and `code` is dropped after the last call.
/// let add: extern "C" fn(i32) -> i32 = unsafe { code.function(0) };
/// assert_eq!(add(37), 42);
/// # }
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// The processor refuses to execute the memory, except on x86 without PAE and on most mips
/// processors, which cannot distinguish reading from executing.
pub struct CodeMut(MmapMut);

/// Executable memory, which cannot be written to. It dereferences to a `[u8]`.
///
/// [`CodeMut::make_exec`] creates it. [`CodeMut`] has an example.
pub struct Code(Mmap);

impl CodeMut {
    /// Maps `len` bytes of zeroed memory for code.
    ///
    /// # Errors
    ///
    /// * `ENOMEM` if there is not enough memory or address space.
    /// * `EOVERFLOW` if `len` is more than `isize::MAX`.
    pub fn new(len: usize) -> Result<CodeMut> {
        Ok(CodeMut(MmapMut::map_anon(len)?))
    }

    /// Makes the memory executable and read-only, and flushes the instruction cache on processors
    /// that need it.
    ///
    /// The code must be passed to other threads with synchronization, such as a channel or an
    /// atomic with release and acquire ordering. On aarch64 this is sufficient only at addresses
    /// from which these threads have not executed other code before. Otherwise membarrier(2) with
    /// `SYNC_CORE` is needed.
    ///
    /// # Errors
    ///
    /// The error contains `self`. ([`MmapMut::make_exec`], whose signature is that of memmap2,
    /// drops the map instead.)
    ///
    /// * `EACCES` if a security policy forbids to execute memory that was written to.
    /// * `ENOMEM` if the process has too many mappings (`vm.max_map_count`).
    pub fn make_exec(self) -> result::Result<Code, ConversionError<CodeMut>> {
        match self.0.try_make_exec() {
            Ok(map) => Ok(Code(map)),
            Err(error) => Err(ConversionError { map: CodeMut(error.map), errno: error.errno }),
        }
    }
}

impl Code {
    /// Makes the memory writable, and no longer executable.
    ///
    /// # Errors
    ///
    /// The error contains `self`, and is `ENOMEM` if the process has too many mappings
    /// (`vm.max_map_count`).
    pub fn make_mut(self) -> result::Result<CodeMut, ConversionError<Code>> {
        match self.0.try_make_mut() {
            Ok(map) => Ok(CodeMut(map)),
            Err(error) => Err(ConversionError { map: Code(error.map), errno: error.errno }),
        }
    }

    /// Returns a pointer of the function pointer type `F` to the code at `offset`.
    ///
    /// On arm, the offset of code in Thumb mode is that of its first byte plus 1.
    ///
    /// # Panics
    ///
    /// Panics if `offset` is not less than the length. It is a compile-time error if `F` is not
    /// as large as a pointer.
    ///
    /// # Safety
    ///
    /// * The code at `offset` is that of a function of the type `F`.
    /// * `F` is a function pointer type that names its calling convention (`extern "C"`, for
    ///   example).
    /// * The function is not called any more, and does not run, when this value is dropped or made
    ///   writable.
    #[must_use]
    pub unsafe fn function<F: Copy>(&self, offset: usize) -> F {
        const { assert!(size_of::<F>() == size_of::<usize>(), "F is no function pointer") };
        let address: *const u8 = &self[offset];
        // SAFETY: the sizes are equal, and the caller guarantees that the address is that of a
        // function of the type `F`.
        unsafe { transmute_copy(&address) }
    }
}

impl Deref for CodeMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for CodeMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Deref for Code {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CodeMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CodeMut").field(&self.0).finish()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Code").field(&self.0).finish()
    }
}
