//! Runs model tests on random input, for a given time.
//!
//! `BAREMAP_FUZZ_SECONDS` is the duration of each test, a fifth of a second by default. The input
//! of a case is computed from a number, the seed, which a failure prints. With `BAREMAP_FUZZ_SEED`,
//! the test begins with the case of that seed and continues with the same cases as before.

use core::fmt::Debug;
use std::{
    env,
    io::Write,
    string::String,
    thread,
    time::{Duration, Instant, SystemTime},
    vec::Vec,
};

/// Generates inputs and checks them, one after another.
pub fn fuzz<I: Debug>(target: &str, make: impl Fn(&mut Random) -> I, check: impl Fn(&I)) {
    let setting = |name: &str| env::var(name).ok();
    let seconds = setting("BAREMAP_FUZZ_SECONDS").map_or(0.2, |text| text.parse().unwrap());
    let first = setting("BAREMAP_FUZZ_SEED").map_or_else(
        || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        |text| text.parse().unwrap(),
    );
    // The seed is printed at once, because the process may not reach its end.
    if setting("BAREMAP_FUZZ_SECONDS").is_some() {
        let _ = writeln!(std::io::stderr(), "{target}: BAREMAP_FUZZ_SEED={first}");
    }

    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut seed = first;
    while seed == first || Instant::now() < end {
        let case = Case { target, seed, input: make(&mut Random(seed)) };
        check(&case.input);
        seed = seed.wrapping_add(1);
    }
    std::println!("{target}: BAREMAP_FUZZ_SEED={first}, {} cases", seed.wrapping_sub(first));
}

/// A case, whose input is printed if the check panics.
struct Case<'a, I: Debug> {
    target: &'a str,
    seed: u64,
    input: I,
}

impl<I: Debug> Drop for Case<'_, I> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Case { target, seed, input } = self;
            std::println!("{target}: BAREMAP_FUZZ_SEED={seed} fails with {input:#?}");
        }
    }
}

/// A generator of pseudo-random numbers (splitmix64).
pub struct Random(u64);

#[allow(dead_code, reason = "no set of features has all targets")]
impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// Returns a number of any size. Every number of bits is equally likely.
    pub fn number(&mut self) -> u64 {
        let bits = self.below(65) as u32;
        self.word().checked_shr(bits).unwrap_or(0)
    }

    /// Returns a number below `end`, which must not be zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    /// Returns true once in `times` calls, on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Returns fewer than `most` items made by `one`.
    pub fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..self.below(most)).map(|_| one(self)).collect()
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }

    /// Returns the bytes of a path or an argument: mostly those in `common`, so that bytes with a
    /// meaning occur together, and sometimes any byte but NUL.
    pub fn text(&mut self, most: usize, common: &[u8]) -> Vec<u8> {
        self.list(most, |random| match random.below(8) {
            0 => 1 + random.below(255) as u8,
            _ => random.one_of(common),
        })
    }

    /// Returns some of the words, concatenated.
    pub fn words(&mut self, most: usize, words: &[&str]) -> String {
        self.list(most, |random| random.one_of(words)).concat()
    }
}
