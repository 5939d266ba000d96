//! The steps that ran, and their results.

use std::{
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

#[derive(Default)]
pub struct Report {
    lines: Vec<String>,
    passed: usize,
    failed: usize,
}

impl Report {
    /// Runs a step, prints its output, and counts its tests. A step without tests counts as one
    /// test.
    pub fn step(&mut self, name: &str, mut command: Command) {
        println!("\n=== {name}");
        let start = Instant::now();
        let output = command.stderr(Stdio::inherit()).output();
        let (ok, text) = match &output {
            Ok(output) => {
                (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Err(error) => (false, error.to_string()),
        };
        print!("{text}");
        let (mut passed, mut failed) = (0, 0);
        for line in text.lines().filter(|line| line.starts_with("test result:")) {
            let count = |word: &str| -> usize {
                let before = line.split(word).next().unwrap_or_default().trim_end();
                before.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
            };
            passed += count(" passed");
            failed += count(" failed");
        }
        if passed + failed == 0 || (!ok && failed == 0) {
            passed += usize::from(ok);
            failed += usize::from(!ok);
        }
        self.add(name, start, passed, failed);
    }

    /// Adds a step that has run.
    pub fn add(&mut self, name: &str, start: Instant, passed: usize, failed: usize) {
        self.passed += passed;
        self.failed += failed;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        let seconds = start.elapsed().as_secs();
        self.lines.push(format!("{verdict:6} {passed:6} {failed:6} {seconds:5} s  {name}"));
    }

    pub fn finish(self) -> ExitCode {
        println!("\n       passed failed    time  what");
        for line in &self.lines {
            println!("{line}");
        }
        println!("\n{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
