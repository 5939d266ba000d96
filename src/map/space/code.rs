//! Memory that is written, and then executed: never both.

use core::{
    fmt,
    mem::transmute_copy,
    ops::{Deref, DerefMut},
    result,
};

use crate::map::{ConversionError, Mmap, MmapMut, Result};

/// Memory to write code to: a `[u8]` that cannot be executed.
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
/// // SAFETY: such a function is there, and the code outlives its use.
/// let add: extern "C" fn(i32) -> i32 = unsafe { code.function(0) };
/// assert_eq!(add(37), 42);
/// # }
/// # Ok::<(), baremap::map::Error>(())
/// ```
///
/// It cannot be executed; not even by mistake, on processors that tell executing from reading
/// (not x86 without PAE, nor most of mips).
pub struct CodeMut(MmapMut);

/// Memory to execute code from: a `[u8]` that cannot be written to.
///
/// It is made of [`CodeMut`], where the example is.
pub struct Code(Mmap);

impl CodeMut {
    /// Maps memory for so many bytes of code, all of it zero. Zero bytes map nothing.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory, or addresses. `EOVERFLOW`: more than `isize::MAX` bytes.
    pub fn new(len: usize) -> Result<CodeMut> {
        Ok(CodeMut(MmapMut::map_anon(len)?))
    }

    /// Makes it executable and read-only, and has the processors fetch what was written,
    /// where they would not do so by themselves.
    ///
    /// Other threads have to learn of the code by something that orders memory, as a channel
    /// or an atomic does. On aarch64 that is enough for addresses from which they have not
    /// executed other code before; see membarrier(2), `SYNC_CORE`, for those from which they
    /// have.
    ///
    /// # Errors
    ///
    /// It comes back with `EACCES` if policy forbids what was written to be executed. (That of
    /// [`MmapMut::make_exec`], which has memmap2's name and ways, does not.)
    pub fn make_exec(self) -> result::Result<Code, ConversionError<CodeMut>> {
        match self.0.try_make_exec() {
            Ok(map) => Ok(Code(map)),
            Err(error) => Err(ConversionError { map: CodeMut(error.map), errno: error.errno }),
        }
    }
}

impl Code {
    /// Makes it writable, and no longer executable.
    ///
    /// # Errors
    ///
    /// It comes back with `ENOMEM` if there are too many mappings.
    pub fn make_mut(self) -> result::Result<CodeMut, ConversionError<Code>> {
        match self.0.try_make_mut() {
            Ok(map) => Ok(CodeMut(map)),
            Err(error) => Err(ConversionError { map: Code(error.map), errno: error.errno }),
        }
    }

    /// The function whose code begins at a byte: as `F`, a function pointer. On arm, code
    /// for Thumb mode is at its address and 1.
    ///
    /// # Panics
    ///
    /// The byte is not inside.
    ///
    /// # Safety
    ///
    /// There is code of a function of type `F` there, which is `extern` with the name of its
    /// convention. It is not called, nor running, when this value is dropped or made writable.
    #[must_use]
    pub unsafe fn function<F: Copy>(&self, offset: usize) -> F {
        const { assert!(size_of::<F>() == size_of::<usize>(), "F is no function pointer") };
        let address: *const u8 = &self[offset];
        // SAFETY: as large; that it is such a function's is the caller's promise.
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
