//! The model of a `FileMap`: a part of the file, which ends at the end of the file at the latest.

use super::*;

/// The part that a `FileMap` shows.
pub struct Part {
    pub start: usize,
    pub limit: usize,
    pub len: usize,
    pub writable: bool,
    /// The offset from which on a slice found pages missing.
    pub lost: usize,
}

impl Part {
    pub fn refresh(&mut self, file: &[u8]) {
        self.len = file.len().saturating_sub(self.start).min(self.limit);
        self.lost = usize::MAX;
    }

    /// Returns the number of bytes that exist.
    pub fn intact_len(&self, file: &[u8]) -> usize {
        up(file.len()).saturating_sub(self.start).min(self.len).min(self.lost)
    }

    pub fn clip(&self, at: usize, len: usize) -> (usize, usize) {
        let at = at.min(self.len);
        (at, len.min(self.len - at))
    }

    /// Returns how many of `len` bytes exist, and the expected result.
    pub fn outcome(&self, at: usize, len: usize, file: &[u8]) -> (usize, Outcome) {
        let done = len.min(self.intact_len(file).saturating_sub(at));
        (done, if done == len { Ok(len) } else { Err((at + done, done, None)) })
    }

    /// Records that the bytes of a slice were accessed.
    pub fn touch(&mut self, at: usize, len: usize, file: &[u8]) -> Outcome {
        let there = self.intact_len(file);
        if at + len <= there {
            return Ok(len);
        }
        let missing = self.start + there.max(at);
        self.lost = (missing / PAGE * PAGE).saturating_sub(self.start);
        Err((self.lost, self.lost, None))
    }
}

/// The number of bytes, or the offset, the bytes before it, and the error.
pub type Outcome = Result<usize, (usize, usize, Option<Errno>)>;

pub fn outcome(result: Result<usize, Fault>) -> Outcome {
    result.map_err(|fault| (fault.offset() as usize, fault.done(), fault.errno()))
}
