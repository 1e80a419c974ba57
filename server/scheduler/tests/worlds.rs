//! One Dispatcher and several Schedulers in thousands of seeded worlds. A world that fails is made small
//! and printed; `cargo run --release --example simulate -- --seed N` plays it again.

#[path = "world/overload.rs"]
mod overload;
mod world;

use world::coverage::Coverage;
use world::run::{Failure, shrink, world};

/// Worlds in the ordinary tests; the example plays millions.
const NUM_WORLDS: u64 = 3_000;

fn or_explain<T>(played: Result<T, Box<Failure>>) -> T {
    played.unwrap_or_else(|failure| panic!("{}", shrink(*failure)))
}

#[test]
fn thousands_of_worlds_keep_every_promise_and_every_fault_meets_every_phase() {
    let mut coverage = Coverage::default();
    let (mut num_steps, mut num_requests, mut num_complete, mut num_deaths) = (0, 0, 0, 0);
    for seed in 0..NUM_WORLDS {
        let report = or_explain(world(seed));
        assert!(report.num_workers >= 2);
        coverage.add(&report.coverage);
        num_steps += report.num_steps;
        num_requests += report.num_requests;
        num_complete += report.num_complete;
        num_deaths += report.num_deaths;
    }
    println!("{coverage}");
    println!(
        "{num_steps} steps, {num_requests} requests, {num_complete} complete, {num_deaths} deaths"
    );
    assert!(num_steps >= 300 * NUM_WORLDS, "worlds are long: {num_steps} steps");
    assert!(num_requests >= 8 * NUM_WORLDS, "worlds are busy: {num_requests} requests");
    assert!(2 * num_complete > num_requests, "most is answered: {num_complete}");
    assert_eq!(coverage.empty_cells(), [], "no cell is empty");
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..100 {
        assert_eq!(or_explain(world(seed)), or_explain(world(seed)), "seed {seed}");
    }
}

/// The power of the simulation: each mistake, planted alone, is found within 100,000 worlds.
#[cfg(feature = "planted-bugs")]
#[test]
fn every_planted_mistake_of_the_front_is_found() {
    use reverie_scheduler::{Planted, plant};

    for mistake in Planted::OF_DISPATCHER {
        plant(Some(mistake));
        let found = (0..100_000).find_map(|seed| Some((seed + 1, world(seed).err()?.broken)));
        plant(None);
        let (num_worlds, broken) = found.unwrap_or_else(|| panic!("{mistake:?} is not found"));
        let broken: String = broken.chars().take(70).collect();
        println!("{:<26}{num_worlds:>8}  {broken}", format!("{mistake:?}"));
    }
}
