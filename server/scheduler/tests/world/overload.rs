//! Five times as many requests as can be served, in virtual time: what is let in is still answered in time. The
//! front and the schedulers are the production ones; how long a step takes is drawn, and no clock is read.

use reverie_scheduler::dispatcher::{
    Abilities, AdmissionConfig, DispatcherConfig, IdempotencyConfig, Micros, NumericsClass,
    OutboxConfig, QuarantineConfig, Role, RoutingConfig, WorkerId,
};
use reverie_scheduler::{Budget, DocumentLimits, ImageChoice, Span, TokenId};

use super::or_explain;
use super::world::dice::Dice;
use super::world::run::{Failure, play};
use super::world::script::{Script, Wish};

/// An answer is good that took no longer: twice the longest documents alone.
const GOOD: Micros = Micros(400_000);
/// So long anybody waits: some texts' time, or as many pictures as half of the places have documents.
const MAX_WAIT: Micros = Micros(60_000);
/// So long requests come.
const SPAN: u64 = 5_000_000;
/// Requests a second that are tried: from what leaves places free to several times what can be served.
const RATES: [u64; 5] = [150, 300, 600, 1_200, 2_400];
const OVERLOAD: u64 = 5;

/// Half texts, a quarter one picture each, a quarter documents whose pictures the model decides.
fn wish(dice: &mut Dice, id: u64, at: u64) -> Wish {
    let (choice, max_images) = match dice.below(4) {
        0 | 1 => (ImageChoice::None, 0),
        2 => (ImageChoice::Exactly(1), 1),
        _ => (ImageChoice::Auto, 3),
    };
    let ids: Vec<TokenId> = (0..10).map(|_| TokenId(dice.below(1_000) as u32)).collect();
    Wish {
        id,
        at: Micros(at),
        tenant: 0,
        priority: 0,
        content: dice.roll(),
        prompt: vec![Span::Tokens(ids)],
        limits: DocumentLimits {
            choice,
            max_images,
            max_tokens: Some(15 + dice.index(40)),
            min_tokens: 8,
            ignore_eos: false,
            ends_with_images: false,
        },
        num_steps: 10,
        num_bytes: 100,
        kv_positions: 1,
        prefix: Vec::new(),
        patience: None,
        poison: None,
        key: None,
        read_delay: 30,
    }
}

/// A world in which nothing goes wrong but that `rate` requests come a second.
fn script(seed: u64, rate: u64, max_wait: Option<Micros>) -> Script {
    let mut dice = Dice::new(seed);
    let dice = &mut dice;
    let budget = Budget { max_model_len: 400, dream_positions: 4, image_positions: 6 };
    let (mut at, mut wishes) = (10_000, Vec::new());
    while at < SPAN {
        wishes.push(wish(dice, wishes.len() as u64, at));
        at += dice.below(2_000_000 / rate);
    }
    let plain = Script::draw(seed);
    let workers: Vec<WorkerId> = (0..2).map(WorkerId).collect();
    let config = DispatcherConfig {
        workers: workers.iter().map(|id| (*id, Role::Both)).collect(),
        admission: AdmissionConfig {
            max_positions: budget.max_model_len,
            max_waiting: 300,
            max_waiting_per_tenant: 300,
            max_open: 400,
            max_reserved_bytes: 1 << 30,
            max_wait,
            metered_over: Micros(100_000),
            retry_after: (Micros(1_000), Micros(60_000_000)),
        },
        routing: RoutingConfig { max_prefixes: 8, max_imbalance: 100 },
        outbox: OutboxConfig { max_bytes: 1 << 20, max_stall: Micros(60_000) },
        quarantine: QuarantineConfig { max_deaths: 9, ..plain.config.quarantine },
        idempotency: IdempotencyConfig { ..plain.config.idempotency },
        liveness: plain.config.liveness,
    };
    // So many have room in an engine's KV cache side by side.
    let abilities = Abilities { max_jobs: 8, kv_positions: 1_000, class: NumericsClass(0) };
    let abilities = vec![abilities; workers.len()];
    Script { budget, config, abilities, wishes, faults: Vec::new(), ..plain }
}

/// Good answers a second.
fn goodput(seed: u64, rate: u64, max_wait: Option<Micros>) -> u64 {
    let script = script(seed, rate, max_wait);
    let played = play(&script).map_err(|broken| Box::new(Failure { broken, script }));
    let answers = or_explain(played).answers;
    let is_good =
        |(asked, ended): &&(Micros, Micros)| ended.since(*asked) <= GOOD && *ended <= Micros(SPAN);
    answers.iter().filter(is_good).count() as u64 * 1_000_000 / SPAN
}

#[test]
fn five_times_as_many_requests_leave_ninety_five_percent_of_the_best_goodput() {
    for seed in 0..2 {
        let best = RATES.map(|rate| goodput(seed, rate, Some(MAX_WAIT)));
        let best = best.into_iter().max().unwrap_or(0);
        let bounded = goodput(seed, OVERLOAD * best, Some(MAX_WAIT));
        let unbounded = goodput(seed, OVERLOAD * best, None);
        println!("seed {seed}: {best} at best, {bounded} under overload, {unbounded} unbounded");
        assert!(100 * bounded >= 95 * best, "seed {seed}: {bounded} of {best}");
        assert!(2 * unbounded < best, "without the bound everybody waits too long: {unbounded}");
    }
}
