//! Memory that is written, and then executed.

use super::*;

/// Returns the code of `extern "C" fn(i32) -> i32` that adds a number below 100.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn adder(number: u8) -> Vec<u8> {
    if cfg!(target_arch = "x86_64") {
        vec![0x8d, 0x47, number, 0xc3]
    } else {
        let add = 0x1100_0000 | u32::from(number) << 10;
        [add.to_le_bytes(), 0xd65f_03c0_u32.to_le_bytes()].concat()
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn code_can_be_written_and_then_called() {
    let mut code = CodeMut::new(100).unwrap();
    let page = page_size();
    for number in 0..50 {
        let _case = case!(number);
        for (offset, number) in [(0, number), (32, number + 40)] {
            let adder = adder(number);
            code[offset..][..adder.len()].copy_from_slice(&adder);
        }
        assert_eq!(permissions(code.as_ptr(), page), ["rw-p"]);
        let exec = code.make_exec().unwrap();
        assert_eq!(permissions(exec.as_ptr(), page), ["r-xp"]);
        assert_eq!(exec[..4], adder(number)[..4]);
        // SAFETY: such functions are there, and are called before the code changes.
        let adders: [extern "C" fn(i32) -> i32; 2] =
            unsafe { [exec.function(0), exec.function(32)] };
        let number = i32::from(number);
        assert_eq!(adders.map(|add| add(100)), [100 + number, 140 + number]);
        code = exec.make_mut().unwrap();
    }
}

#[test]
fn code_is_never_writable_and_executable() {
    let code = CodeMut::new(1).unwrap();
    let start = code.as_ptr();
    // A call faults before the first instruction.
    // SAFETY: the fault is wanted.
    faults(|| unsafe { mem::transmute::<*const u8, extern "C" fn()>(start)() });
    let code: Code = code.make_exec().unwrap();
    faults(|| unsafe { code.as_ptr().cast_mut().write_volatile(1) });
}

#[test]
fn code_of_zero_bytes_is_empty() {
    let code = CodeMut::new(0).unwrap().make_exec().unwrap();
    assert!(code.is_empty());
    assert!(code.make_mut().unwrap().is_empty());
}
