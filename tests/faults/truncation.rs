//! Files that other threads truncate, and memory that other threads unmap.

use super::*;

/// Pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }
}

/// Reads while another thread truncates the file to this length and restores it, ten thousand
/// times.
fn reads_while_truncated(to: usize, threads: usize) {
    const TIMES: usize = 10_000;
    let scratch = Scratch::new("truncated");
    let contents = contents();
    let file = file(&scratch, &contents);
    let map = map(&file);
    assert_eq!(map.len(), *SIZE);
    let (stop, whole, cut) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));

    thread::scope(|scope| {
        for number in 0..threads {
            let (map, stop, whole, cut) = (&map, &stop, &whole, &cut);
            scope.spawn(move || {
                let mut random = Random(number as u64);
                let mut buffer = vec![0xee; *SIZE];
                while !stop.load(SeqCst) {
                    let start = random.below(*SIZE);
                    let wanted = 1 + random.below(*SIZE - start);
                    let there = match map.read_at(&mut buffer[..wanted], start as u64) {
                        Ok(count) => {
                            assert_eq!(count, wanted);
                            whole.fetch_add(1, SeqCst);
                            count
                        }
                        Err(fault) => {
                            assert_eq!(fault.offset(), (start + fault.done()) as u64);
                            assert!(fault.done() < wanted);
                            // The bytes before the new end exist at all times.
                            assert!(fault.offset() as usize >= to, "{fault:?}");
                            assert_eq!(fault.errno(), None);
                            cut.fetch_add(1, SeqCst);
                            fault.done()
                        }
                    };
                    for (index, &byte) in (start..).zip(&buffer[..there]) {
                        let empty = index >= to && byte == 0;
                        assert!(byte == pattern(index) || empty, "{byte} at {index}");
                    }
                    // Where the ends of a block overlap, a byte may have been read before its page
                    // got lost, and the copy of the block was begun again.
                    for (index, &byte) in (start + there..).zip(&buffer[there..wanted]) {
                        let empty = index >= to && byte == 0;
                        let read = byte == pattern(index) || empty;
                        assert!(byte == 0xee || read, "{byte} at {index}");
                    }
                    buffer[..wanted].fill(0xee);
                }
            });
        }
        let mut times = 0;
        // On a busy machine, readers may need more rounds to observe both states.
        while times < TIMES || whole.load(SeqCst) == 0 || cut.load(SeqCst) == 0 {
            file.set_len(to as u64).unwrap();
            if times % 16 == 0 {
                thread::yield_now();
            }
            file.write_all_at(&contents[to..], to as u64).unwrap();
            times += 1;
            assert!(times < 100 * TIMES, "whole: {whole:?}, cut off: {cut:?}");
        }
        stop.store(true, SeqCst);
    });
}

#[test]
fn reads_survive_truncation_to_zero() {
    for threads in [1, 2, 8] {
        reads_while_truncated(0, threads);
    }
}

#[test]
fn reads_survive_truncation_within_a_page() {
    for threads in [1, 2, 8] {
        reads_while_truncated(2 * *PAGE + 1000, threads);
    }
}

#[test]
fn reads_survive_truncation_at_a_page_boundary() {
    for threads in [1, 2, 8] {
        reads_while_truncated(3 * *PAGE, threads);
    }
}

/// Threads read one slice while the file is truncated.
#[test]
fn slices_report_truncation() {
    for threads in [1, 2, 8] {
        let scratch = Scratch::new("slices");
        let contents = contents();
        let file = file(&scratch, &contents);
        let mut map = map(&file);
        let (mut whole, mut cut) = (0, 0);
        for time in 0..500 {
            let to = time % (PAGES + 1) * *PAGE;
            let barrier = Barrier::new(threads + 1);
            let results: Vec<Result<usize, Fault>> = thread::scope(|scope| {
                let readers: Vec<_> = (0..threads)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            // SAFETY: nobody writes meanwhile; truncation is by whole pages.
                            unsafe {
                                map.with_slice(|bytes| {
                                    bytes
                                        .iter()
                                        .enumerate()
                                        .filter(|&(i, &b)| b != pattern(i))
                                        .count()
                                })
                            }
                        })
                    })
                    .collect();
                barrier.wait();
                if to < *SIZE {
                    file.set_len(to as u64).unwrap();
                }
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            });
            for result in results {
                match result {
                    Ok(others) => {
                        assert_eq!(others, 0);
                        whole += 1;
                    }
                    Err(fault) => {
                        assert!(to < *SIZE && fault.offset() as usize >= to, "{fault:?} {to}");
                        cut += 1;
                    }
                }
            }
            file.write_all_at(&contents, 0).unwrap();
            assert_eq!(map.refresh().unwrap(), *SIZE);
        }
        assert!(whole > 0 && cut > 0, "{whole} {cut}");
    }
}

/// Copies from memory that another thread unmaps and maps again. Another thread's memory may be
/// mapped there meanwhile.
#[test]
fn copies_from_unmapped_memory_stop() {
    let memory = AtomicPtr::new(std::ptr::null_mut());
    let stop = AtomicBool::new(false);
    let (mut whole, mut cut) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                let mut map = MmapOptions::new().len(4 * *PAGE).map_anon().unwrap();
                map.fill(1);
                memory.store(map.as_mut_ptr(), SeqCst);
                thread::yield_now();
            }
        });
        let mut buffer = vec![0; 4 * *PAGE];
        for time in 0.. {
            let from = memory.load(SeqCst);
            if from.is_null() {
                continue; // not yet
            }
            // SAFETY: the buffer is ours. Of what is mapped at the address, if anything is,
            // nothing is written to.
            match unsafe { guard::copy(from, buffer.as_mut_ptr(), buffer.len()) } {
                Ok(()) => whole += usize::from(buffer.iter().all(|&byte| byte == 1)),
                Err(left) => {
                    assert!(left > 0 && left <= buffer.len());
                    cut += 1;
                }
            }
            if time > 10_000 && whole > 0 && cut > 0 {
                break;
            }
        }
        stop.store(true, SeqCst);
    });
}
