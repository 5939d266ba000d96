//! `survive`: reads a mapped file while another thread truncates and extends it.
//!
//! The program reads with baremap first, which reports the missing pages as errors. Then it reads
//! with memmap2 in a child process, which is expected to be killed by `SIGBUS`.
//!
//! ```sh
//! cargo run --release --features std --example survive
//! ```

use std::{
    env,
    error::Error,
    fs::{self, File},
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use baremap::map::FileMap;

const SIZE: u64 = 100 << 20;
const TIME: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::temp_dir().join(format!("survive-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    let result = match env::args().nth(1).as_deref() {
        Some("memmap2") => {
            fs::remove_file(&path)?; // now, because a signal is expected to kill this process
            return with_memmap2(&file);
        }
        _ => with_baremap(&file, &path),
    };
    fs::remove_file(&path)?;
    result?;

    let status = Command::new(env::current_exe()?).arg("memmap2").status()?;
    match (status.signal(), status.code()) {
        (Some(signal), _) => println!("memmap2: killed by signal {signal} ({status})"),
        (None, code) => println!("memmap2: exit status {code:?}: it was lucky"),
    }
    Ok(())
}

/// Truncates the file and fills it again, until `stop` is set. Returns the number of truncations.
fn disturb(file: &File, stop: &AtomicBool) -> std::io::Result<u64> {
    let block = vec![b'x'; 1 << 20];
    let fill =
        |from| (from..SIZE).step_by(block.len()).try_for_each(|at| file.write_all_at(&block, at));
    fill(0)?;
    let mut times = 0;
    while !stop.load(Relaxed) {
        let length = [0, SIZE / 2, SIZE - (1 << 20)][times as usize % 3];
        file.set_len(length)?;
        thread::sleep(Duration::from_millis(1));
        fill(length)?;
        thread::sleep(Duration::from_millis(50));
        times += 1;
    }
    Ok(times)
}

/// Calls `read` repeatedly while another thread truncates the file. Returns the number of
/// truncations.
fn meanwhile(file: &File, mut read: impl FnMut()) -> std::io::Result<u64> {
    file.set_len(SIZE)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let disturber = scope.spawn(|| disturb(file, &stop));
        let start = Instant::now();
        while start.elapsed() < TIME {
            read();
        }
        stop.store(true, Relaxed);
        disturber.join().expect("it does not panic")
    })
}

/// Reads the file with baremap, and prints how many reads were complete, and how many failed.
fn with_baremap(file: &File, path: &Path) -> Result<(), Box<dyn Error>> {
    file.set_len(SIZE)?;
    let map = FileMap::new(File::open(path)?)?;
    let (mut whole, mut cut, mut bytes, mut wrong) = (0, 0, 0, 0);
    let (mut buffer, block) = (vec![0; 1 << 20], vec![b'x'; 1 << 20]);
    let times = meanwhile(file, || {
        let mut offset = 0;
        let result = loop {
            match map.read_at(&mut buffer, offset) {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    offset += count as u64;
                    // A page that was truncated and not yet filled again contains zeros.
                    if buffer[..count] != block[..count] {
                        let others = |&&byte: &&u8| byte != b'x' && byte != 0;
                        wrong += buffer[..count].iter().filter(others).count();
                    }
                }
                Err(fault) => break Err(fault),
            }
        };
        bytes += offset;
        match result {
            Ok(()) => whole += 1,
            Err(_) => cut += 1,
        }
    })?;
    println!("the file was cut off {times} times");
    println!(
        "baremap: {whole} reads were whole, {cut} came back as errors, 0 crashes, \
         {wrong} wrong bytes in {} MiB",
        bytes >> 20
    );
    Ok(())
}

/// Reads the file with memmap2, which does not handle `SIGBUS`.
fn with_memmap2(file: &File) -> Result<(), Box<dyn Error>> {
    file.set_len(SIZE)?;
    // SAFETY: this violates memmap2's requirement that the file is not truncated, in order to show
    // the consequence. The process is expected to be killed by SIGBUS.
    let map = unsafe { memmap2::Mmap::map(file)? };
    let mut buffer = vec![0; 1 << 20];
    meanwhile(file, || {
        for chunk in map.chunks(buffer.len()) {
            buffer[..chunk.len()].copy_from_slice(chunk);
            std::hint::black_box(&buffer);
        }
    })?;
    Ok(())
}
