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
const NUM_WORLDS: u64 = if cfg!(debug_assertions) { 2_000 } else { 20_000 };

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

/// Worlds until a planted mistake has to be found at the latest.
#[cfg(feature = "planted-bugs")]
const MAX_WORLDS: u64 = 20_000;

#[test]
#[cfg(feature = "planted-bugs")]
fn every_planted_mistake_of_a_scheduler_is_found() {
    use reverie_scheduler::{Planted, plant};

    std::panic::set_hook(Box::new(|_| {})); // what a world says of itself is printed once, below
    let mut unfound = Vec::new();
    for mistake in Planted::OF_SCHEDULER {
        plant(Some(mistake));
        let found = (0..MAX_WORLDS).find_map(|seed| {
            let broken = std::panic::catch_unwind(|| World::new(seed).run()).err()?;
            let said = broken.downcast_ref::<String>().cloned();
            let said =
                said.or_else(|| broken.downcast_ref::<&str>().map(|said| (*said).to_owned()));
            Some((seed + 1, said.unwrap_or_default()))
        });
        plant(None);
        match found {
            Some((worlds, said)) => {
                let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
                let said: String = said.chars().take(70).collect();
                println!("{:<26}{worlds:>8}  {said}", format!("{mistake:?}"));
            }
            None => unfound.push(mistake),
        }
    }
    let _default = std::panic::take_hook();
    assert_eq!(unfound, [], "not found within {MAX_WORLDS} worlds");
}
