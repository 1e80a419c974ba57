//! Runs worlds, catches what breaks, and makes it small: requests and faults are dropped one by one as
//! long as the world still fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::script::Script;
use super::{Report, World};

/// What broke, in a world as small as could be found.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) broken: String,
    pub(crate) script: Script,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let script = &self.script;
        writeln!(formatter, "seed {}: {}", script.seed, self.broken)?;
        let kept: Vec<String> = script.wishes.iter().map(|wish| wish.id.to_string()).collect();
        writeln!(formatter, "with {:?}", script.config)?;
        writeln!(formatter, "with abilities {:?}", script.abilities)?;
        writeln!(formatter, "with requests {}:", kept.join(" "))?;
        for wish in &script.wishes {
            writeln!(formatter, "  {wish:?}")?;
        }
        writeln!(formatter, "with faults:")?;
        for fault in &script.faults {
            writeln!(formatter, "  {fault:?}")?;
        }
        Ok(())
    }
}

/// Plays the world of a seed.
pub(crate) fn world(seed: u64) -> Result<Report, Box<Failure>> {
    let script = Script::draw(seed);
    play(&script).map_err(|broken| Box::new(Failure { broken, script }))
}

/// Plays a script; a panic of what is tested is a broken promise too.
pub(crate) fn play(script: &Script) -> Result<Report, String> {
    catch_unwind(AssertUnwindSafe(|| World::new(script).play())).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Err(format!("a panic: {}", said.unwrap_or_default()))
    })
}

/// Drops whatever the failure does not need.
pub(crate) fn shrink(failure: Failure) -> Failure {
    let mut smallest = failure;
    loop {
        let before = smallest.script.wishes.len() + smallest.script.faults.len();
        for index in (0..smallest.script.wishes.len()).rev() {
            let mut script = smallest.script.clone();
            script.wishes.remove(index);
            smallest = retry(smallest, script);
        }
        for index in (0..smallest.script.faults.len()).rev() {
            let mut script = smallest.script.clone();
            script.faults.remove(index);
            smallest = retry(smallest, script);
        }
        if smallest.script.wishes.len() + smallest.script.faults.len() == before {
            return smallest;
        }
    }
}

fn retry(failure: Failure, script: Script) -> Failure {
    match play(&script) {
        Ok(_) => failure,
        Err(broken) => Failure { broken, script },
    }
}
