//! How soon a request that nobody waits for any more is gone: the engine steps that begin between the drop
//! of its stream and the moment in which the scheduler and the runner hold nothing of it. Cancels come at
//! random while many requests of all kinds are served by the embedded model: 400 of them, or as many as
//! `REVERIE_CANCELS` says, which is a measurement: it needs a machine with nothing beside it, and may then
//! take no step. `server/cancel-to-free` makes it ten thousand; its last result stands in
//! `docs/cancel-to-free.txt`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reverie_model::Picture;
use reverie_model::diffusion::SamplerKind;
use reverie_model::noise::CounterNoise;
use reverie_model::picture_codec::PictureFormat;
use reverie_scheduler::{Budget, CostModel, DrawingSpec, SequenceId, StepPlan};
use reverie_server::args::{DeviceChoice, DtypeChoice};
use reverie_server::engine::candle_runner::CandleRunner;
use reverie_server::engine::document_engine::{DocumentEngine, EngineStatus};
use reverie_server::engine::event::EngineError;
use reverie_server::engine::order::{Conditions, WrittenPiece};
use reverie_server::engine::request::{
    EngineRequest, ImageChoice, ONE_TENANT, PictureParams, PromptSegment, RequestIdentity,
    SamplingParams, StoppingParams,
};
use reverie_server::engine::runner::{ModelRunner, OpenedSequence, StepOutput};
use reverie_server::engine::{Clock, EngineConfig};
use reverie_server::pool::thread_worker::LoadRunner;
use reverie_server::pool::{Pool, PoolConfig, PoolHandle, TextSource};
use reverie_server::startup::PreparedModel;

/// Clients at a time; half of them have no place, so that cancels of waiting requests are among the rest.
const NUM_CLIENTS: usize = 16;
/// Engine steps after which an order that was on its way has arrived.
const MOST_ON_THE_WAY: u64 = 20;
/// Glances after which an idle engine has spoken.
const MOST_GLANCES: usize = 10_000;
/// Looks at what the engine does this often.
const GLANCE: Duration = Duration::from_micros(300);

/// Where a request is when its client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Queued,
    Encode,
    Prefill,
    Decode,
    Denoise,
    MidPass,
    Render,
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Queued,
        Self::Encode,
        Self::Prefill,
        Self::Decode,
        Self::Denoise,
        Self::MidPass,
        Self::Render,
    ];
}

/// What the engine's thread has been seen to do.
#[derive(Default)]
struct Seen {
    steps_begun: u64,
    /// By the request's seed, which names it.
    ids: BTreeMap<u64, SequenceId>,
    /// How many steps each open sequence has spent in each phase.
    phases: BTreeMap<SequenceId, BTreeMap<Phase, usize>>,
    /// How many steps had begun when a sequence was closed.
    closed: BTreeMap<SequenceId, u64>,
}

impl Seen {
    fn step(&mut self, plan: &StepPlan) {
        self.steps_begun += 1;
        for id in plan.sequences() {
            assert!(!self.closed.contains_key(&id), "{id} is computed after it was closed");
        }
        let mut saw = |id: SequenceId, phase: Phase| {
            *self.phases.entry(id).or_default().entry(phase).or_default() += 1;
        };
        for row in &plan.encode {
            saw(row.sequence, Phase::Encode);
        }
        for row in &plan.decode {
            let phase = if row.sample.is_some() { Phase::Decode } else { Phase::Prefill };
            saw(row.sequence, phase);
        }
        if let Some(group) = &plan.denoise {
            let phase = if group.segments.is_last() { Phase::Denoise } else { Phase::MidPass };
            for member in &group.members {
                saw(member.sequence, phase);
            }
        }
        if let Some(row) = plan.render {
            saw(row.sequence, Phase::Render);
        }
    }

    fn has_been(&self, seed: u64, phase: Phase, steps: usize) -> bool {
        let phases = self.ids.get(&seed).and_then(|id| self.phases.get(id));
        let spent = phases.and_then(|phases| phases.get(&phase));
        spent.is_some_and(|spent| *spent >= steps)
    }

    /// Whether the engine has begun so many steps without having heard of the request.
    fn was_never_opened(&self, seed: u64, steps: u64) -> bool {
        !self.ids.contains_key(&seed) && self.steps_begun > steps
    }

    /// How many steps had begun when the request was closed, if it was.
    fn closed(&self, seed: u64) -> Option<u64> {
        self.closed.get(self.ids.get(&seed)?).copied()
    }
}

type Watch = Arc<Mutex<Seen>>;

fn look(watch: &Watch) -> MutexGuard<'_, Seen> {
    watch.lock().expect("whoever panics ends the test")
}

/// The real runner, watched.
struct Watched {
    runner: CandleRunner,
    watch: Watch,
}

impl ModelRunner for Watched {
    fn budget(&self) -> Budget {
        self.runner.budget()
    }

    fn warm_up(&mut self, clock: &Clock) -> Result<CostModel, EngineError> {
        self.runner.warm_up(clock)
    }

    fn open(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
    ) -> Result<OpenedSequence, EngineError> {
        look(&self.watch).ids.insert(request.sampling.seed, id);
        self.runner.open(id, request)
    }

    fn resume(&mut self, id: SequenceId, written: &[WrittenPiece]) -> Result<(), EngineError> {
        self.runner.resume(id, written)
    }

    fn open_picture(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
        picture: usize,
        conditions: &Conditions,
    ) -> Result<DrawingSpec, EngineError> {
        self.runner.open_picture(id, request, picture, conditions)
    }

    fn take_conditions(&mut self, id: SequenceId) -> Result<Conditions, EngineError> {
        self.runner.take_conditions(id)
    }

    fn execute(&mut self, plan: &StepPlan) -> Result<StepOutput, EngineError> {
        look(&self.watch).step(plan);
        self.runner.execute(plan)
    }

    fn close(&mut self, id: SequenceId) {
        self.runner.close(id);
        let mut seen = look(&self.watch);
        let steps_begun = seen.steps_begun;
        seen.phases.remove(&id);
        seen.closed.insert(id, steps_begun);
        assert!(seen.ids.len() > seen.closed.len() || self.runner.is_idle(), "nothing is left");
    }

    fn is_poisoned(&self) -> bool {
        self.runner.is_poisoned()
    }
}

/// Reproducible choices (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// A request that comes through `phase` and would go on for long after it.
fn request(seed: u64, phase: Phase, random: &mut Random) -> EngineRequest {
    let draws = matches!(phase, Phase::Denoise | Phase::MidPass | Phase::Render);
    let words = if phase == Phase::Prefill { 200 } else { 4 + random.below(30) };
    let tokens = (0..words).map(|_| 300 + random.below(400) as u32);
    let mut prompt = vec![PromptSegment::Tokens(std::iter::once(1).chain(tokens).collect())];
    if phase == Phase::Encode {
        let shade = random.below(256) as u8;
        let picture = Picture::new(64, 64, vec![shade; 64 * 64 * 3]);
        prompt.push(PromptSegment::Picture(Arc::new(picture)));
        prompt.push(PromptSegment::Tokens(vec![301]));
    }
    EngineRequest {
        tenant: ONE_TENANT,
        prompt,
        sampling: SamplingParams { temperature: 1.0, seed, ..SamplingParams::greedy() },
        stopping: StoppingParams {
            max_tokens: Some(if draws { 1 } else { 300 }),
            min_tokens: 0,
            ignore_eos: true,
            ends_with_images: false,
            stop: Vec::new(),
        },
        pictures: PictureParams {
            choice: if draws { ImageChoice::Exactly(8) } else { ImageChoice::None },
            max_images: 8,
            width: 64,
            height: 64,
            num_inference_steps: if phase == Phase::Render { 1 } else { 20 },
            guidance_scale: 1.0 + random.below(2) as f32,
            guidance_rescale: 0.0,
            eta: 0.0,
            negative_prompt: None,
            sampler: SamplerKind::EulerAncestral,
            seed,
            format: PictureFormat::Png,
            progress: None,
            trace: None,
        },
        choice: 0,
        deadline: None,
        priority: 0,
        identity: RequestIdentity::default(),
    }
}

/// One client: asks, waits until its request has been in a phase for some steps, leaves. Where it was, and
/// the steps that began before it was free; nothing if its request ended by itself.
async fn leave(
    handle: &PoolHandle,
    watch: &Watch,
    seed: u64,
    random: &mut Random,
) -> Option<(Phase, u64)> {
    let phase = Phase::ALL[random.below(Phase::ALL.len())];
    let steps = 1 + random.below(3);
    let stream = handle.submit(request(seed, phase, random)).expect("a place for each client");
    if phase == Phase::Queued {
        tokio::time::sleep(GLANCE * random.below(8) as u32).await;
    } else {
        while !look(watch).has_been(seed, phase, steps) {
            if look(watch).closed(seed).is_some() {
                return None;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
    let begun = {
        // No step begins between the two, however long the system lets this thread wait.
        let seen = look(watch);
        drop(stream);
        seen.steps_begun
    };
    loop {
        let closed = look(watch).closed(seed);
        if let Some(closed) = closed {
            return Some((phase, closed.saturating_sub(begun)));
        }
        // Whoever left the queue before it had a place was never the engine's.
        if look(watch).was_never_opened(seed, begun + MOST_ON_THE_WAY) {
            return Some((phase, 0));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Steps from cancel to free, by phase, of so many cancels.
async fn cancels(count: usize) -> BTreeMap<Phase, Vec<u64>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/mini"));
    let cache = std::env::temp_dir();
    let prepared = PreparedModel::open(Some(folder), &cache, DeviceChoice::Cpu, DtypeChoice::F32)
        .expect("the embedded model is usable");
    let watch = Watch::default();
    let watched = Arc::clone(&watch);
    let (budget, class) = (prepared.budget(1024), prepared.numerics_class());
    let tokenizer = Arc::clone(&prepared.tokenizer);
    let text: TextSource = Arc::new(move || Box::new(tokenizer.detokenizer()));
    let load: LoadRunner = Arc::new(move || {
        let runner = CandleRunner::new(prepared.load()?, Box::new(CounterNoise))?;
        Ok(Box::new(Watched { runner, watch: Arc::clone(&watched) }) as Box<_>)
    });
    let config = EngineConfig {
        max_num_seqs: NUM_CLIENTS / 2,
        max_num_batched_tokens: 64,
        max_num_encodes: 1,
        max_num_waiting: NUM_CLIENTS,
        num_kv_blocks: 3 * 64,
        // Short, so that passes are split and cancels come in their middle.
        max_token_gap: Duration::from_millis(8),
    };
    let config = PoolConfig::of_one(budget, config);
    let (handle, thread) =
        Pool::of_threads(config, class, &load, text, Arc::new(Instant::now)).expect("a thread");
    assert_eq!(handle.loaded().await, EngineStatus::Ready);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..NUM_CLIENTS {
        let (handle, watch) = (handle.clone(), Arc::clone(&watch));
        let share = count.div_ceil(NUM_CLIENTS);
        clients.spawn(async move {
            let mut random = Random(client as u64);
            let (mut left, mut attempt) = (Vec::new(), 0);
            while left.len() < share {
                let seed = (client as u64) << 32 | attempt;
                attempt += 1;
                left.extend(leave(&handle, &watch, seed, &mut random).await);
            }
            left
        });
    }
    let mut by_phase: BTreeMap<Phase, Vec<u64>> = BTreeMap::new();
    for (phase, steps) in clients.join_all().await.into_iter().flatten() {
        by_phase.entry(phase).or_default().push(steps);
    }
    // What the engine holds it says after its next step.
    for _ in 0..MOST_GLANCES {
        if handle.stats().kv_blocks_used == 0 && handle.stats().num_running == 0 {
            break;
        }
        tokio::time::sleep(GLANCE).await;
    }
    let stats = handle.stats();
    handle.drain();
    handle.ended().await;
    assert_eq!((stats.num_running, stats.num_waiting, stats.kv_blocks_used), (0, 0, 0));
    assert_eq!((stats.num_denoising, stats.num_denoiser_members), (0, 0));
    thread.join().expect("no panic").expect("ends in peace");
    by_phase
}

/// The largest of the smallest 99 of a hundred.
fn p99(steps: &mut [u64]) -> u64 {
    steps.sort_unstable();
    steps[(steps.len() * 99).div_ceil(100) - 1]
}

/// Everything is free within one step, which is promised; before the next one begins if nothing else wants
/// the machine, since that takes threads that run as soon as they are woken.
fn assert_soon(by_phase: &BTreeMap<Phase, Vec<u64>>, nothing_beside: bool) {
    let mut all: Vec<u64> = by_phase.values().flatten().copied().collect();
    assert!(all.iter().all(|steps| *steps < 2), "{by_phase:?}");
    if nothing_beside {
        assert_eq!(p99(&mut all), 0, "{by_phase:?}");
    }
    for phase in Phase::ALL {
        assert!(by_phase.contains_key(&phase), "nobody left in {phase:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_is_gone_before_the_next_step() {
    let asked = std::env::var("REVERIE_CANCELS");
    let count =
        asked.as_ref().map_or(400, |count| count.parse().expect("REVERIE_CANCELS is a number"));
    let mut by_phase = cancels(count).await;
    println!("engine steps that began between a cancel and its resources being free");
    println!("{:<10} {:>8} {:>6} {:>6} {:>6}", "phase", "cancels", "p50", "p99", "max");
    let line = |name: &str, steps: &mut Vec<u64>| {
        let p99 = p99(steps);
        let (half, most) = (steps[steps.len() / 2], steps[steps.len() - 1]);
        println!("{name:<10} {:>8} {half:>6} {p99:>6} {most:>6}", steps.len());
    };
    for (phase, steps) in &mut by_phase {
        line(&format!("{phase:?}"), steps);
    }
    line("all", &mut by_phase.values().flatten().copied().collect());
    assert_soon(&by_phase, asked.is_ok());
}
