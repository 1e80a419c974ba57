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

use crate::world::{Tally, World};

/// Worlds of one run: as many as a minute holds where the code is optimised.
const NUM_WORLDS: u64 = if cfg!(debug_assertions) { 800 } else { 20_000 };

#[test]
fn random_worlds_keep_every_invariant_and_come_to_an_end() {
    let mut total = Tally::default();
    for seed in 0..NUM_WORLDS {
        let tally = std::panic::catch_unwind(|| World::new(seed).run())
            .unwrap_or_else(|_| panic!("the world of seed {seed} fails"));
        total.add(&tally);
    }
    println!("{NUM_WORLDS} worlds: {total}");
    let worlds = NUM_WORLDS as usize;
    assert_eq!(total.coverage.wrong_cells(), [], "every cell that can be reached is, and no other");
    assert!(total.steps / worlds >= 300, "worlds are long");
    assert!(total.requests / worlds >= 8, "worlds are busy");
    assert!(total.refused > 0 && total.preemptions > worlds / 10 && total.hits > 0);
}
