//! Steps, their times and what they counted; a sum that adds up.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{duration, say};

/// Tests, or a whole step as one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    pub(super) const ONE: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    pub(super) const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };

    pub(super) fn sum(counts: Vec<Self>) -> Self {
        counts.into_iter().fold(Self::default(), |sum, count| Self {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            skipped: sum.skipped + count.skipped,
        })
    }

    /// Reads `test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; ...`.
    fn of_result(line: &str) -> Option<Self> {
        let (_, results) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |name: &str| {
            let part = results.split("; ").find_map(|part| part.strip_suffix(name));
            part.and_then(|number| number.trim().parse::<u64>().ok())
        };
        let skipped = number("ignored")? + number("filtered out").unwrap_or(0);
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            skipped,
        })
    }
}

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    time: Duration,
    count: Count,
    note: String,
}

impl Report {
    /// Runs a step, whatever the ones before it came to. Answers whether nothing in it failed.
    pub(super) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Outcome<Count>,
    ) -> bool {
        say(format!("== {name}"));
        let started = Instant::now();
        let (count, note) = match work() {
            Ok(count) => (count, String::new()),
            Err(failure) => (Count::FAILED, failure.to_string()),
        };
        if !note.is_empty() {
            say(&note);
        }
        let note = note.lines().next().unwrap_or_default().to_owned();
        self.steps.push(Step {
            name,
            time: started.elapsed(),
            count,
            note,
        });
        count.failed == 0
    }

    /// Steps that cannot run count as failed: nothing passes by not being tried.
    pub(super) fn not_run(&mut self, names: &[&'static str], why: &str) {
        let note = format!("not run: {why}");
        let steps = names.iter().map(|name| Step {
            name,
            time: Duration::ZERO,
            count: Count::FAILED,
            note: note.clone(),
        });
        self.steps.extend(steps);
    }

    /// Prints every step, then the sum.
    pub(super) fn finish(self) -> Outcome {
        println!(
            "\n{:<14}{:>16}{:>9}{:>9}{:>9}",
            "step", "time", "passed", "failed", "skipped"
        );
        for Step {
            name,
            time,
            count,
            note,
        } in &self.steps
        {
            let Count {
                passed,
                failed,
                skipped,
            } = count;
            println!(
                "{name:<14}{:>16}{passed:>9}{failed:>9}{skipped:>9}  {note}",
                duration(*time)
            );
        }
        let time = self.steps.iter().map(|step| step.time).sum();
        let Count {
            passed,
            failed,
            skipped,
        } = Count::sum(self.steps.iter().map(|step| step.count).collect());
        println!("{:<14}{:>16}\n", "all", duration(time));
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 {
            Ok(())
        } else {
            Err(Failure::new("the tests failed"))
        }
    }
}

/// Runs tests, showing what they print, and counts them. A run that ends badly in any other way is one failure.
pub(super) fn tests(command: &mut Command, limit: Duration) -> Count {
    let name = command
        .get_program()
        .to_string_lossy()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    say(format!("$ {name} {}", words.join(" ")));
    counted(command, limit).unwrap_or_else(|failure| {
        say(format!("{name}: {failure}"));
        Count::FAILED
    })
}

fn counted(command: &mut Command, limit: Duration) -> Outcome<Count> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run it")?;
    let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let reader = thread::spawn(move || {
        let lines = output.lines().map_while(Result::ok);
        lines
            .inspect(|line| println!("{line}"))
            .filter_map(|line| Count::of_result(&line))
            .collect()
    });
    let Some(status) = ended_within(&mut child, limit)? else {
        // Its own children may still hold the pipe: nobody waits for the reader.
        return Err(Failure::new(format!(
            "still running after {}",
            duration(limit)
        )));
    };
    let counts = reader
        .join()
        .map_err(|_panic| Failure::new("the reader of the output panicked"))?;
    let count = Count::sum(counts);
    let silent = !status.success() && count.failed == 0;
    if silent {
        Err(Failure::new(status.to_string()))
    } else {
        Ok(count)
    }
}

fn ended_within(child: &mut Child, limit: Duration) -> Outcome<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().context("waiting for tests")? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().context("ending what hangs")?;
    child.wait().context("waiting for tests")?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that every test binary ends with is read as it stands.
    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.00s";
        assert_eq!(
            Count::of_result(line),
            Some(Count {
                passed: 5,
                failed: 1,
                skipped: 5
            })
        );
        assert_eq!(Count::of_result("test a::b ... ok"), None);
    }
}
