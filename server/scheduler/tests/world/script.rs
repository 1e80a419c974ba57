//! A world before it begins: its limits, what will be wished for, what will go wrong and when. Drawn from
//! one seed; each world draws first which kinds of faults it has at all (a swarm), and how often.

use reverie_scheduler::dispatcher::{
    Abilities, AdmissionConfig, DispatcherConfig, IdempotencyConfig, LivenessConfig, Micros,
    NumericsClass, OutboxConfig, QuarantineConfig, Role, RoutingConfig, WorkerId,
};
use reverie_scheduler::{Budget, ContentHash, DocumentLimits, ImageChoice, Span, TokenId};

use super::coverage::{FaultKind, Phase};
use super::dice::Dice;

/// No worker says that it holds more.
const MOST_KV_POSITIONS: usize = 100;

/// One request that is going to be made.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Its name, kept when others are dropped.
    pub(crate) id: u64,
    pub(crate) at: Micros,
    pub(crate) tenant: u128,
    pub(crate) priority: i32,
    /// Equal contents, equal answers.
    pub(crate) content: u64,
    pub(crate) prompt: Vec<Span>,
    pub(crate) limits: DocumentLimits,
    pub(crate) num_steps: usize,
    pub(crate) num_bytes: u64,
    /// Positions of a KV cache that it says it can come to.
    pub(crate) kv_positions: usize,
    /// Beginnings that others may share.
    pub(crate) prefix: Vec<u128>,
    /// Time that its client grants.
    pub(crate) patience: Option<u64>,
    pub(crate) poison: Option<Poison>,
    pub(crate) key: Option<u8>,
    /// How long its client takes to read what has come.
    pub(crate) read_delay: u64,
}

/// What a request does to a worker that runs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Poison {
    /// At which kind of work.
    pub(crate) phase: Phase,
    /// Whether the worker hangs rather than dies.
    pub(crate) hangs: bool,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) at: Micros,
    pub(crate) what: FaultKind,
    /// Which worker or wish, modulo how many there are.
    pub(crate) victim: u64,
    /// How long or how much.
    pub(crate) amount: u64,
}

/// Everything that a world is made of.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) budget: Budget,
    pub(crate) config: DispatcherConfig,
    /// What each worker says that it holds.
    pub(crate) abilities: Vec<Abilities>,
    pub(crate) wishes: Vec<Wish>,
    pub(crate) faults: Vec<Fault>,
    /// Probability that what a dead worker said arrives late rather than never, in percent.
    pub(crate) late_answers: u64,
    /// Whether what a process said before it died arrives as if it lived.
    pub(crate) sockets_survive: bool,
}

impl Script {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let dice = &mut dice;
        let budget = Budget {
            max_model_len: 200 + dice.index(120),
            dream_positions: 3 + dice.index(3),
            image_positions: 4 + dice.index(6),
        };
        let roles = draw_roles(dice);
        let two_classes = dice.chance(25);
        let abilities = roles
            .iter()
            .enumerate()
            .map(|(index, _)| Abilities {
                max_jobs: 1 + dice.index(4),
                kv_positions: MOST_KV_POSITIONS - dice.index(MOST_KV_POSITIONS / 2),
                class: NumericsClass(if two_classes { index as u64 % 2 } else { 0 }),
            })
            .collect();
        // In a rush more come than can be served, and nothing goes wrong.
        let is_rush = dice.chance(8);
        let num_wishes = if is_rush { 45 } else { 14 + dice.index(12) };
        let hurry = if is_rush { 6_000 } else { [3_000, 12_000, 40_000][dice.index(3)] };
        let tenants = 1 + dice.below(4);
        let priorities = if dice.chance(40) && !is_rush { 3 } else { 1 };
        let widest = if dice.chance(20) && !is_rush { MOST_KV_POSITIONS + 5 } else { 1 };
        let mut wishes: Vec<Wish> = Vec::new();
        let mut at = 6_000;
        for id in 0..num_wishes as u64 {
            at += dice.below(hurry);
            let mut wish = draw_wish(dice, id, &budget);
            wish.at = Micros(at);
            wish.tenant = u128::from(dice.below(tenants));
            wish.priority = dice.below(priorities) as i32;
            wish.kv_positions = 1 + dice.index(widest);
            wishes.push(wish);
        }
        let mut script = Self {
            seed,
            budget,
            config: draw_config(dice, &budget, &roles),
            abilities,
            wishes,
            faults: Vec::new(),
            late_answers: [0, 50, 100][dice.index(3)],
            sockets_survive: dice.chance(40),
        };
        draw_keys(dice, &mut script.wishes);
        if is_rush {
            script.config.admission.max_wait = Some(Micros(2_000 + dice.below(10_000)));
        } else {
            draw_faults(dice, &mut script, at + 60_000);
        }
        script
    }
}

fn draw_roles(dice: &mut Dice) -> Vec<Role> {
    match dice.below(6) {
        0 | 1 => vec![Role::Both; 2],
        2 => vec![Role::Both; 3],
        3 => vec![Role::Decode, Role::Denoise],
        4 => vec![Role::Decode, Role::Decode, Role::Denoise],
        _ => vec![Role::Both, Role::Decode, Role::Denoise],
    }
}

fn draw_wish(dice: &mut Dice, id: u64, budget: &Budget) -> Wish {
    // Wishes of one family begin alike, so that caches are hit.
    let family = dice.below(3) as u32;
    let mut prompt = vec![tokens(family, 1 + dice.index(40))];
    for _ in 0..dice.index(3) {
        if dice.chance(30) {
            prompt.push(Span::Dream);
        }
        prompt.push(Span::Picture(ContentHash([dice.below(3) as u8; 32])));
        prompt.push(tokens(dice.below(3) as u32, 1 + dice.index(4)));
    }
    let choice = match dice.below(5) {
        0 | 1 => ImageChoice::Auto,
        2 => ImageChoice::None,
        3 => ImageChoice::Required,
        _ => ImageChoice::Exactly(dice.index(3)),
    };
    let limits = DocumentLimits {
        choice,
        max_images: dice.index(4),
        max_tokens: dice.chance(70).then(|| 15 + dice.index(70)),
        min_tokens: dice.index(12),
        ignore_eos: dice.chance(30),
        ends_with_images: false,
    };
    let used = budget.positions(&prompt) + limits.insisted_images() * budget.drawing_positions();
    if used + 1 > budget.max_model_len {
        return draw_wish(dice, id, budget);
    }
    let family = u128::from(family);
    Wish {
        id,
        at: Micros(0),
        tenant: 0,
        priority: 0,
        content: dice.roll(),
        prompt,
        limits,
        num_steps: 3 + dice.index(12),
        num_bytes: 50 + dice.below(200),
        kv_positions: 1,
        prefix: vec![family, family * 10 + 100 + u128::from(dice.below(3))],
        patience: None,
        poison: None,
        key: None,
        read_delay: [30, 300, 3_000][dice.index(3)],
    }
}

fn tokens(family: u32, count: usize) -> Span {
    Span::Tokens((0..count as u32).map(|index| TokenId(1_000 * family + index)).collect())
}

/// Some wishes carry keys, and some of these are asked again, with the same body or another.
fn draw_keys(dice: &mut Dice, wishes: &mut [Wish]) {
    if !dice.chance(40) {
        return;
    }
    for index in 0..wishes.len() {
        if !dice.chance(50) {
            continue;
        }
        wishes[index].key = Some(dice.below(6) as u8);
        let earlier = wishes[..index].iter().rfind(|wish| wish.key == wishes[index].key).cloned();
        if let Some(earlier) = earlier.filter(|_| dice.chance(70)) {
            let (id, at) = (wishes[index].id, wishes[index].at);
            wishes[index] = Wish { id, at, ..earlier };
        }
    }
}

fn draw_config(dice: &mut Dice, budget: &Budget, roles: &[Role]) -> DispatcherConfig {
    let workers =
        roles.iter().enumerate().map(|(index, role)| (WorkerId(index as u32), *role)).collect();
    DispatcherConfig {
        workers,
        admission: AdmissionConfig {
            max_positions: budget.max_model_len,
            max_waiting: if dice.chance(30) { dice.index(4) } else { 20 },
            max_waiting_per_tenant: if dice.chance(20) { 1 + dice.index(3) } else { 20 },
            max_open: if dice.chance(15) { 5 + dice.index(6) } else { 40 },
            max_reserved_bytes: if dice.chance(20) { 500 + dice.below(700) } else { 100_000 },
            max_wait: dice.chance(50).then(|| Micros(2_000 + dice.below(80_000))),
            metered_over: Micros(5_000 + dice.below(50_000)),
            retry_after: (Micros(1_000_000), Micros(60_000_000)),
        },
        liveness: LivenessConfig {
            suspect_after: Micros(12_000),
            hung_after: Micros(40_000),
            start_timeout: Micros(50_000),
            first_backoff: Micros(1_000),
            max_backoff: Micros(16_000),
            stable_after: Micros(100_000),
            max_failed_starts: 3 + dice.below(3) as u32,
            max_not_finite: [0, 1, 8][dice.index(3)],
            not_finite_within: Micros(20_000 + dice.below(200_000)),
            listen_every: Micros(3_000),
        },
        routing: RoutingConfig { max_prefixes: 1 + dice.index(8), max_imbalance: dice.below(200) },
        outbox: OutboxConfig {
            max_bytes: if dice.chance(30) { 8 + dice.below(30) } else { 2_500 },
            max_stall: Micros(60_000),
        },
        quarantine: QuarantineConfig {
            max_deaths: 9,
            max_fingerprints: 1 + dice.index(3),
            block_for: Micros(100_000),
        },
        idempotency: IdempotencyConfig {
            max_keys_per_tenant: 2 + dice.index(4),
            max_keys: 3 + dice.index(5),
            max_bytes: 200 + dice.below(3_000),
            keep_for: Micros(40_000 + dice.below(200_000)),
        },
    }
}

fn draw_faults(dice: &mut Dice, script: &mut Script, end: u64) {
    let mut kinds = Vec::new();
    for kind in FaultKind::ALL {
        if dice.chance(22) {
            kinds.push(kind);
        }
    }
    for kind in kinds {
        let count = match kind {
            FaultKind::Drain | FaultKind::SecondDrain | FaultKind::NeverStarts => 1,
            FaultKind::Crash | FaultKind::Hang | FaultKind::Garbage => 1 + dice.below(2),
            FaultKind::Poison | FaultKind::PoisonHang => 1 + dice.below(2),
            FaultKind::Kill
            | FaultKind::Silence
            | FaultKind::FailedStart
            | FaultKind::Echo
            | FaultKind::FrontStops
            | FaultKind::Cancel
            | FaultKind::SlowReader
            | FaultKind::Deadline
            | FaultKind::NotFinite
            | FaultKind::Evict => 1 + dice.below(4),
        };
        for _ in 0..count {
            let fault = Fault {
                at: Micros(6_000 + dice.below(end)),
                what: kind,
                victim: dice.roll(),
                amount: dice.roll(),
            };
            script.add(dice, fault);
        }
    }
    if dice.chance(30) {
        // A request that can never fit, and that is to be refused without harm.
        let index = dice.index(script.wishes.len());
        script.wishes[index].num_bytes = script.config.admission.max_reserved_bytes + 1;
    }
    script.faults.sort_by_key(|fault| fault.at);
}

impl Script {
    /// Faults that are in a request's nature become part of it.
    fn add(&mut self, dice: &mut Dice, fault: Fault) {
        let index = (fault.victim % self.wishes.len() as u64) as usize;
        let wish = &mut self.wishes[index];
        match fault.what {
            FaultKind::Deadline => wish.patience = Some(1_000 + fault.amount % 150_000),
            FaultKind::Poison | FaultKind::PoisonHang => {
                let phases =
                    [Phase::Computing, Phase::Decoding, Phase::Denoising, Phase::Rendering];
                wish.poison = Some(Poison {
                    phase: phases[dice.index(phases.len())],
                    hangs: fault.what == FaultKind::PoisonHang,
                });
                // Its fingerprint is its own, so that nobody shares its fate.
                wish.key = None;
            }
            FaultKind::Kill
            | FaultKind::Crash
            | FaultKind::Hang
            | FaultKind::Silence
            | FaultKind::FailedStart
            | FaultKind::NeverStarts
            | FaultKind::Garbage
            | FaultKind::Echo
            | FaultKind::FrontStops
            | FaultKind::Cancel
            | FaultKind::SlowReader
            | FaultKind::NotFinite
            | FaultKind::Evict
            | FaultKind::Drain
            | FaultKind::SecondDrain => self.faults.push(fault),
        }
    }
}
