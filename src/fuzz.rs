//! Random input against plain models, for as long as there is time.
//!
//! `BAREMAP_FUZZ_SECONDS` is how long each target runs, a fifth of a second by default.
//! Whatever is random comes from a number, the seed of the case: a failure prints it, and with
//! `BAREMAP_FUZZ_SEED` that case is the first, and those after it the same as before.

use core::fmt::Debug;
use std::{
    env,
    io::Write,
    string::String,
    thread,
    time::{Duration, Instant, SystemTime},
    vec::Vec,
};

/// Makes input and checks what comes of it, one after another.
pub fn fuzz<I: Debug>(target: &str, make: impl Fn(&mut Random) -> I, check: impl Fn(&I)) {
    let setting = |name: &str| env::var(name).ok();
    let seconds = setting("BAREMAP_FUZZ_SECONDS").map_or(0.2, |text| text.parse().unwrap());
    let first = setting("BAREMAP_FUZZ_SEED").map_or_else(
        || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        |text| text.parse().unwrap(),
    );
    // By itself, lest it is lost with the process.
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

/// Prints its input if it fails.
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

/// Numbers of which each follows from the one before (splitmix64).
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

    /// A number of any size, small ones as often as large ones.
    pub fn number(&mut self) -> u64 {
        let bits = self.below(65) as u32;
        self.word().checked_shr(bits).unwrap_or(0)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    /// Whether something is so that is once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Fewer than `most` of what `one` makes.
    pub fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..self.below(most)).map(|_| one(self)).collect()
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }

    /// Bytes of a path or an argument: few different ones, so that those which mean something
    /// meet; now and then any but NUL.
    pub fn text(&mut self, most: usize, common: &[u8]) -> Vec<u8> {
        self.list(most, |random| match random.below(8) {
            0 => 1 + random.below(255) as u8,
            _ => random.one_of(common),
        })
    }

    /// Pieces of text one after another.
    pub fn words(&mut self, most: usize, words: &[&str]) -> String {
        self.list(most, |random| random.one_of(words)).concat()
    }
}
