//! `cargo xtask kernels` boots real kernels, whose first process is the program `conformance`.
//!
//! Success is read from the console, because an emulator has the same exit status whether the
//! kernel panicked or powered the machine off.

use std::{
    error::Error,
    fs::{self, File},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    DEBIAN_RUSTC, cargo, cross_targets, fetch, initramfs, install,
    matrix::{Matrix, Outcome},
    report::Report,
    root,
    targets::{HOST, Kernel, MATRIX, Target},
};

/// Far more than any kernel needs, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(300);

pub fn kernels(names: &[&str], update: bool) -> Result<ExitCode, String> {
    let known = |name: &str| {
        MATRIX.iter().any(|target| target.name() == name && !target.kernels.is_empty())
    };
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(format!("no kernel for {name}"));
    }
    let asked = |target: &Target| names.is_empty() || names.contains(&target.name());
    let targets: Vec<&Target> = MATRIX.iter().filter(|target| asked(target)).collect();
    install(&targets)?;
    // An update of the matrix needs the lines of the emulators, too.
    let runners = targets.iter().filter(|_| update).flat_map(|target| target.emulators());
    install::install([DEBIAN_RUSTC].into_iter().chain(runners))?;

    let mut report = Report::default();
    let mut matrix = Matrix::default();
    let program = ["build", "--release", "-p", "baremap-examples", "--bin", "conformance"];
    let host = targets.iter().find(|target| target.triple == HOST);
    if host.is_some() {
        let mut build = cargo(&program);
        build.args(["--bin", "init", "--bin", "words"]);
        report.step("build, x86_64", build);
    }
    if targets.iter().any(|target| target.triple != HOST) {
        report.step("build, other architectures", cross_targets(&program, targets.iter().copied()));
    }
    if update {
        for target in &targets {
            matrix.run_under_emulators(&mut report, target);
        }
    }
    boot(&targets, |_| true, &mut report, &mut matrix);
    if let Some(host) = host {
        boot_init(host, &mut report);
    }
    matrix.finish(&mut report, update);
    Ok(report.finish())
}

/// Installs the system emulators of these targets' kernels.
pub fn install(targets: &[&Target]) -> Result<(), String> {
    let kernels = targets.iter().flat_map(|target| target.kernels);
    install::install(kernels.map(|kernel| kernel.emulator()))
}

/// Boots the selected kernels of these targets.
pub fn boot(
    targets: &[&Target],
    selected: fn(&&Kernel) -> bool,
    report: &mut Report,
    matrix: &mut Matrix,
) {
    for target in targets {
        for kernel in target.kernels.iter().filter(selected) {
            let what = format!("{} on {}", target.name(), kernel.flavour());
            println!("\n=== boot {what}");
            let files =
                fetch::emulator(kernel).and_then(|emulator| Ok((emulator, fetch::kernel(kernel)?)));
            let start = Instant::now();
            match files.and_then(|(emulator, image)| boot_one(target, kernel, &emulator, &image)) {
                Ok(outcome) => {
                    let Outcome { release, passed, failed, .. } = &outcome;
                    let name = format!("{:12} Linux {release}, {}", target.name(), outcome.pages());
                    println!("{name}: {passed} passed, {failed} failed");
                    report.add(&name, start, *passed, *failed);
                    if *failed == 0 {
                        matrix.add(target, kernel.flavour(), release, &outcome);
                    }
                }
                Err(error) => {
                    println!("{what}: {error}");
                    report.add(&what, start, 0, 1);
                }
            }
        }
    }
}

fn boot_one(
    target: &Target,
    kernel: &Kernel,
    emulator: &Path,
    image: &Path,
) -> Result<Outcome, Box<dyn Error>> {
    let name = format!("{}-{}", target.name(), kernel.flavour());
    let files = vec![("init".to_owned(), fs::read(target.dir().join("conformance"))?)];
    let (status, text) = run_kernel(kernel, emulator, image, &name, files, "")?;
    let outcome = Outcome::read(&text).and_then(|outcome| {
        if text.contains("Kernel panic") {
            Err("the kernel panics".to_owned())
        } else if outcome.failed == 0 && status != Some(target.status) {
            Err(format!("the emulator's status is not {}", target.status))
        } else {
            Ok(outcome)
        }
    });
    Ok(outcome.map_err(|error| with_console(&error, status, &text))?)
}

/// Boots `examples/init.rs` as the guide in `docs/freestanding.md` does, with another example as
/// the program that it starts.
pub fn boot_init(target: &Target, report: &mut Report) {
    let start = Instant::now();
    println!("\n=== boot init");
    let result = target.kernels.first().ok_or("no kernel".into()).and_then(|kernel| {
        let (emulator, image) = (fetch::emulator(kernel)?, fetch::kernel(kernel)?);
        let program =
            |at: &str, name| fs::read(target.dir().join(name)).map(|p| (at.to_owned(), p));
        let files = vec![program("init", "init")?, program("bin/main", "words")?];
        let arguments = "-- /bin/main /proc/version";
        let (status, text) = run_kernel(kernel, &emulator, &image, "init", files, arguments)?;
        let lines = ["linux 1", "init: exit status 0"];
        let missing = lines.iter().find(|&&expected| !text.lines().any(|line| line == expected));
        match missing {
            // The first process powers the machine off. If it ended, the kernel would panic.
            None if status == Some(0) && !text.contains("Kernel panic") => Ok(()),
            None => Err(with_console("it does not turn the machine off", status, &text).into()),
            Some(line) => Err(with_console(&format!("no line `{line}`"), status, &text).into()),
        }
    });
    let result: Result<(), Box<dyn Error>> = result;
    if let Err(error) = &result {
        println!("init: {error}");
    }
    let [ok, failed] = [result.is_ok(), result.is_err()].map(usize::from);
    report.add("init, booted", start, ok, failed);
}

fn with_console(error: &str, status: Option<i32>, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(40)..].join("\n");
    format!("{error}; the emulator's status: {status:?}\n{last}")
}

/// Runs a kernel with these files and arguments until it ends or the time is over. Returns the
/// emulator's exit status, or `None` if the time was over, and the text on the console.
fn run_kernel(
    kernel: &Kernel,
    emulator: &Path,
    image: &Path,
    name: &str,
    files: Vec<(String, Vec<u8>)>,
    arguments: &str,
) -> Result<(Option<i32>, String), Box<dyn Error>> {
    let dir = root().join("target/kernels/boot");
    fs::create_dir_all(&dir)?;
    let initramfs = dir.join(format!("{name}.cpio.gz"));
    initramfs::write(&initramfs, files)?;

    let log = dir.join(format!("{name}.log"));
    let console = File::create(&log)?;
    let mut emulator = Command::new(emulator);
    emulator
        .args(kernel.machine.split_whitespace().skip(1))
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs);
    // With `panic=-1`, a kernel that panics ends at once. With `quiet`, it prints little else.
    emulator.args(["-append", &format!("{} panic=-1 quiet {arguments}", kernel.append)]);
    emulator.args(["-nographic", "-no-reboot", "-monitor", "none", "-serial", "stdio"]);
    emulator.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
    let mut emulator = emulator.spawn()?;
    let end = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = emulator.try_wait()? {
            break status.code();
        }
        if Instant::now() > end {
            emulator.kill()?;
            emulator.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(50));
    };

    Ok((status, String::from_utf8_lossy(&fs::read(&log)?).into_owned()))
}
