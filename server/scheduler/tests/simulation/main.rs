//! Seeded worlds of one scheduler: documents of every kind arrive, dream, leave, fail and lose their blocks,
//! and after every step all invariants hold. A world that fails prints its seed.

mod actor;
mod coverage;
mod dice;
mod document;
mod invariants;
mod memory;
mod requests;
mod world;

use crate::coverage::Coverage;
use crate::world::{Tally, World};

/// Worlds of one run: as many as a minute holds where the code is optimised.
const NUM_WORLDS: u64 = if cfg!(debug_assertions) { 800 } else { 20_000 };

#[test]
fn random_worlds_keep_every_invariant_and_come_to_an_end() {
    let mut total = Tally::default();
    let mut coverage = Coverage::default();
    for seed in 0..NUM_WORLDS {
        let tally = std::panic::catch_unwind(|| World::new(seed).run())
            .unwrap_or_else(|_| panic!("the world of seed {seed} fails"));
        coverage.add(&tally.coverage);
        total.steps += tally.steps;
        total.requests += tally.requests;
        total.finished += tally.finished;
        total.pictures += tally.pictures;
        total.refused += tally.refused;
        total.preemptions += tally.preemptions;
        total.hits += tally.hits;
        total.bounded_steps += tally.bounded_steps;
        total.forced_steps += tally.forced_steps;
    }
    let worlds = NUM_WORLDS as usize;
    println!(
        "{worlds} worlds, {} steps each, {} requests each",
        total.steps / worlds,
        total.requests / worlds
    );
    println!("{total:?}");
    coverage.print_and_check();
    assert!(total.steps / worlds >= 300, "worlds are long");
    assert!(total.requests / worlds >= 8, "worlds are busy");
    assert!(total.refused > 0 && total.preemptions > worlds / 10 && total.hits > 0);
}
