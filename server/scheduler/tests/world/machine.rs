//! One simulated worker process after another, in one place: it loads, lives, falls silent, dies.

use reverie_scheduler::Budget;
use reverie_scheduler::dispatcher::{Abilities, Epoch, Micros, Role};

use super::engine::Engine;

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// There is none.
    None,
    Loading,
    Living,
}

/// A place for processes.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) role: Role,
    pub(crate) abilities: Abilities,
    pub(crate) epoch: Epoch,
    pub(crate) life: Life,
    pub(crate) engine: Engine,
    /// Whether a step is under way.
    pub(crate) is_stepping: bool,
    /// Nothing happens here before.
    pub(crate) frozen_until: Micros,
    /// Who made it die or hang.
    pub(crate) ended_by: Option<u64>,
    /// Whether it has been silent for longer than one silence lasts.
    pub(crate) is_long_silent: bool,
    /// Everything is said twice until then.
    pub(crate) echoes_until: Micros,
    /// When the last thing said, or told, arrives: both ways keep their order.
    pub(crate) said: Micros,
    pub(crate) told: Micros,
    /// Starts that are going to fail.
    pub(crate) num_failing: u64,
    /// Microseconds of a step.
    pub(crate) pace: u64,
}

impl Machine {
    pub(crate) fn new(role: Role, abilities: Abilities, budget: Budget) -> Self {
        Self {
            role,
            abilities,
            epoch: Epoch(0),
            life: Life::None,
            engine: Engine::new(role, budget, abilities.max_jobs),
            is_stepping: false,
            frozen_until: Micros(0),
            ended_by: None,
            is_long_silent: false,
            echoes_until: Micros(0),
            said: Micros(0),
            told: Micros(0),
            num_failing: 0,
            pace: 800,
        }
    }

    pub(crate) fn is_living(&self, epoch: Epoch) -> bool {
        self.life == Life::Living && self.epoch == epoch
    }

    /// A new process loads.
    pub(crate) fn load(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.life = Life::Loading;
        self.is_stepping = false;
        self.frozen_until = Micros(0);
        self.ended_by = None;
        self.is_long_silent = false;
        self.echoes_until = Micros(0);
    }

    /// It is ready, and empty.
    pub(crate) fn live(&mut self, budget: Budget) {
        self.life = Life::Living;
        self.engine = Engine::new(self.role, budget, self.abilities.max_jobs);
    }

    pub(crate) fn die(&mut self, budget: Budget) {
        self.life = Life::None;
        self.engine = Engine::new(self.role, budget, self.abilities.max_jobs);
    }
}
