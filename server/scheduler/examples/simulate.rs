//! Plays seeded worlds by the million: one Dispatcher, several Schedulers, and everything that goes wrong.
//!
//!     simulate [--worlds N] [--seconds S] [--first SEED] [--threads N]   plays, prints coverage and speed
//!     simulate --seed SEED                                               plays one, small if it fails
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "../tests/world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use world::coverage::Coverage;
use world::run::{Failure, shrink};

/// What is asked for.
#[derive(Debug, Clone)]
struct Options {
    worlds: u64,
    seconds: u64,
    first: u64,
    threads: u64,
    seed: Option<u64>,
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { worlds: 100_000, seconds: u64::MAX, first: 0, threads: 1, seed: None };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{flag} {value}: {error}"));
        match flag.as_str() {
            "--worlds" => options.worlds = number()?,
            "--seconds" => options.seconds = number()?,
            "--first" => options.first = number()?,
            "--threads" => options.threads = number()?.max(1),
            "--seed" => options.seed = Some(number()?),
            _ => return Err(format!("there is no option {flag}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    // What panics in a world is reported by the world.
    std::panic::set_hook(Box::new(|_| {}));
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            println!("{error}");
            return ExitCode::from(2);
        }
    };
    let is_good = match options.seed {
        Some(seed) => one(seed),
        None => many(&options),
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64) -> bool {
    match world::run::world(seed) {
        Ok(report) => {
            println!("{}\n{} steps, trace {:x}", report.coverage, report.num_steps, report.trace);
            true
        }
        Err(failure) => {
            println!("{}", shrink(*failure));
            false
        }
    }
}

/// What many worlds came to.
#[derive(Debug, Default)]
struct Sum {
    num_worlds: u64,
    num_steps: u64,
    num_requests: u64,
    num_complete: u64,
    num_deaths: u64,
    coverage: Coverage,
    /// Failures by what broke, numbers left out.
    failures: BTreeMap<String, (u64, Box<Failure>)>,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.num_worlds += other.num_worlds;
        self.num_steps += other.num_steps;
        self.num_requests += other.num_requests;
        self.num_complete += other.num_complete;
        self.num_deaths += other.num_deaths;
        self.coverage.add(&other.coverage);
        for (what, (count, failure)) in other.failures {
            self.failures.entry(what).or_insert((0, failure)).0 += count;
        }
    }

    fn play(&mut self, seed: u64) {
        self.num_worlds += 1;
        match world::run::world(seed) {
            Ok(report) => {
                self.num_steps += report.num_steps;
                self.num_requests += report.num_requests;
                self.num_complete += report.num_complete;
                self.num_deaths += report.num_deaths;
                self.coverage.add(&report.coverage);
            }
            Err(failure) => {
                let what: String = failure
                    .broken
                    .chars()
                    .filter(|letter| !letter.is_ascii_digit())
                    .take(60)
                    .collect();
                self.failures.entry(what).or_insert((0, failure)).0 += 1;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that it takes is part of its report")]
fn many(options: &Options) -> bool {
    let started = std::time::Instant::now();
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let worker = || {
        let mut sum = Sum::default();
        while !is_over.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= options.worlds || started.elapsed().as_secs() >= options.seconds {
                is_over.store(true, Ordering::Relaxed);
                break;
            }
            sum.play(options.first + index);
        }
        sum
    };
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            sum.add(thread.join().unwrap_or_default());
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!("{}\n", sum.coverage);
    println!(
        "{} worlds from seed {} in {seconds:.0} s: {} engine steps ({:.0} a world), {} requests ({:.1} \
         a world), {} complete, {} deaths of workers",
        sum.num_worlds,
        options.first,
        sum.num_steps,
        sum.num_steps as f64 / sum.num_worlds.max(1) as f64,
        sum.num_requests,
        sum.num_requests as f64 / sum.num_worlds.max(1) as f64,
        sum.num_complete,
        sum.num_deaths,
    );
    let empty = sum.coverage.empty_cells();
    println!("empty cells: {empty:?}");
    let is_good = sum.failures.is_empty() && empty.is_empty();
    for (_, (count, failure)) in sum.failures {
        println!("\n{count} worlds like this:\n{}", shrink(*failure));
    }
    is_good
}
