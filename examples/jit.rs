//! `jit`: writes machine code to memory and runs it.
//!
//! One function adds a constant to its argument, and is rewritten with several constants. Another
//! function computes the sum of the numbers from 1 to its argument, in a loop.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use baremap::rt::{ExitCode, Start};

baremap::entry!(main);

/// Runs the functions. On other architectures, `main` prints an error.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn main(_: Start) -> ExitCode {
    match known::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            baremap::rt::eprintln!("jit: {errno}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn main(_: Start) -> ExitCode {
    baremap::rt::eprintln!("jit: knows the instructions of x86_64, aarch64 and riscv64 alone");
    ExitCode::FAILURE
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod known {
    use baremap::{map::CodeMut, rt::println, syscall::Errno};

    type Function = extern "C" fn(u64) -> u64;

    /// The offset of the second function, in bytes.
    const SUM: usize = 64;

    /// Writes both functions, and calls them.
    pub fn run() -> Result<(), Errno> {
        let mut code = CodeMut::new(SUM + 64)?;
        instructions::sum(&mut Writer { code: &mut code[SUM..], at: 0 });
        for number in [1, 20, 300] {
            instructions::add(number, &mut Writer { code: &mut code, at: 0 });
            // Makes the code executable and read-only.
            let exec = code.make_exec()?;
            // SAFETY: the code at both offsets is a function of this type, and neither pointer is
            // used after `exec` is converted.
            let (add, sum): (Function, Function) =
                unsafe { (exec.function(0), exec.function(SUM)) };
            println!("{number} added to 1000: {}", add(1000));
            println!("All up to {number}: {}", sum(number.into()));
            code = exec.make_mut()?;
        }
        Ok(())
    }

    /// Appends instructions to the code.
    pub struct Writer<'a> {
        code: &'a mut [u8],
        at: usize,
    }

    impl Writer<'_> {
        pub fn put(&mut self, bytes: &[u8]) {
            self.code[self.at..][..bytes.len()].copy_from_slice(bytes);
            self.at += bytes.len();
        }

        #[cfg(not(target_arch = "x86_64"))]
        pub fn word(&mut self, instruction: u32) {
            self.put(&instruction.to_le_bytes());
        }
    }

    #[cfg(target_arch = "x86_64")]
    mod instructions {
        use super::Writer;

        pub fn add(number: u16, to: &mut Writer<'_>) {
            to.put(&[0x48, 0x8d, 0x87]); // lea rax, [rdi + 32 bits]
            to.put(&u32::from(number).to_le_bytes());
            to.put(&[0xc3]); // ret
        }

        pub fn sum(to: &mut Writer<'_>) {
            to.put(&[0x31, 0xc0]); //       xor eax, eax
            to.put(&[0x48, 0x85, 0xff]); // test rdi, rdi
            to.put(&[0x74, 8]); //          jz 2f
            to.put(&[0x48, 0x01, 0xf8]); // 1: add rax, rdi
            to.put(&[0x48, 0xff, 0xcf]); // dec rdi
            to.put(&[0x75, 0xf8]); //       jnz 1b
            to.put(&[0xc3]); //             2: ret
        }
    }

    #[cfg(target_arch = "aarch64")]
    mod instructions {
        use super::Writer;

        pub fn add(number: u16, to: &mut Writer<'_>) {
            assert!(number < 1 << 12);
            to.word(0x9100_0000 | u32::from(number) << 10); // add x0, x0, 12 bits
            to.word(0xd65f_03c0); // ret
        }

        pub fn sum(to: &mut Writer<'_>) {
            to.word(0xd280_0001); // mov x1, 0
            to.word(0xb400_0080); // cbz x0, 2f
            to.word(0x8b00_0021); // 1: add x1, x1, x0
            to.word(0xf100_0400); // subs x0, x0, 1
            to.word(0x54ff_ffc1); // b.ne 1b
            to.word(0xaa01_03e0); // 2: mov x0, x1
            to.word(0xd65f_03c0); // ret
        }
    }

    #[cfg(target_arch = "riscv64")]
    mod instructions {
        use super::Writer;

        pub fn add(number: u16, to: &mut Writer<'_>) {
            assert!(number < 1 << 11);
            to.word(0x0005_0513 | u32::from(number) << 20); // addi a0, a0, 11 bits
            to.word(0x0000_8067); // ret
        }

        pub fn sum(to: &mut Writer<'_>) {
            to.word(0x0000_0593); // li a1, 0
            to.word(0x0005_0863); // beqz a0, 2f
            to.word(0x00a5_85b3); // 1: add a1, a1, a0
            to.word(0xfff5_0513); // addi a0, a0, -1
            to.word(0xfe05_1ce3); // bnez a0, 1b
            to.word(0x0005_8513); // 2: mv a0, a1
            to.word(0x0000_8067); // ret
        }
    }
}
