//! What runs inside a simulated worker: the production `Scheduler`, driven by `add`, `schedule`, `update`
//! and `abort` alone, and the model of the oracle. The only file that knows a `StepPlan`.

use std::collections::BTreeMap;
use std::rc::Rc;

use reverie_scheduler::dispatcher::{Digest, Entry, JobFault, JobId, Order, Role, WorkerMessage};
use reverie_scheduler::{
    Budget, ContentHash, CostModel, DrawingSpec, KvConfig, LatentSize, Nanos, PictureSpec,
    RenderedRow, SampledRow, Scheduler, SchedulerConfig, SegmentCost, SequenceEvent, SequenceId,
    SequenceSpec, Span, StepOutcome, StepPlan, TenantId, TokenId, Written,
};

use super::coverage::Phase;
use super::oracle::{Memory, num_bytes};
use super::script::Wish;

/// The pictures' worth of work that a document asks for.
fn cost_of_picture(wish: &Wish) -> u64 {
    wish.num_steps as u64
}

/// One worker's work.
#[derive(Debug)]
pub(crate) struct Engine {
    role: Role,
    scheduler: Scheduler,
    tasks: BTreeMap<JobId, Task>,
    names: BTreeMap<SequenceId, JobId>,
    num_sequences: u64,
}

#[derive(Debug)]
struct Task {
    wish: Rc<Wish>,
    is_drawing: bool,
    /// The answer so far, what was written elsewhere included.
    entries: Vec<Entry>,
    memory: Memory,
    /// Unless it waits for a picture from elsewhere.
    sequence: Option<SequenceId>,
    phase: Phase,
}

impl Task {
    fn writing(wish: &Rc<Wish>, entries: Vec<Entry>) -> Self {
        let memory = Memory::after(wish, &entries);
        Self { entries, is_drawing: false, ..Self::drawing(wish, memory) }
    }

    fn drawing(wish: &Rc<Wish>, memory: Memory) -> Self {
        Self {
            wish: Rc::clone(wish),
            is_drawing: true,
            entries: Vec::new(),
            memory,
            sequence: None,
            phase: Phase::Queued,
        }
    }

    fn num_images(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Picture(_))).count()
    }

    fn text_is_over(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::LastToken(_)))
    }

    fn push(&mut self, job: JobId, entry: Entry) -> WorkerMessage {
        let position = self.entries.len();
        self.entries.push(entry);
        self.memory = self.memory.and(entry);
        WorkerMessage::Produced { job, position, entry, num_bytes: num_bytes(entry) }
    }

    fn drawing_spec(&self) -> DrawingSpec {
        DrawingSpec {
            size: LatentSize { height: 1, width: 1 + (self.wish.content % 2) as usize },
            num_denoising_steps: self.wish.num_steps,
            is_guided: !self.wish.content.is_multiple_of(3),
        }
    }

    fn written(&self) -> Written {
        let mut spans = Vec::new();
        for entry in &self.entries {
            match (entry, spans.last_mut()) {
                (Entry::Token(id) | Entry::LastToken(id), Some(Span::Tokens(ids))) => {
                    ids.push(TokenId(*id));
                }
                (Entry::Token(id) | Entry::LastToken(id), _) => {
                    spans.push(Span::Tokens(vec![TokenId(*id)]));
                }
                (Entry::Picture(Digest(bytes)), _) => {
                    spans.extend([Span::Dream, Span::Picture(ContentHash(*bytes))]);
                }
            }
        }
        Written { spans, is_stopped: self.text_is_over() }
    }
}

impl Engine {
    pub(crate) fn new(role: Role, budget: Budget, max_jobs: usize) -> Self {
        let kv = KvConfig { block_size: 8, num_blocks: 0, enable_prefix_caching: true };
        // Room for one context and a little: whoever shares a worker is preempted now and then.
        let num_blocks = kv.blocks_for(budget.max_model_len) * 4 / 3;
        let segment = SegmentCost { base: Nanos(10), per_cell: Nanos(0) };
        let cost = CostModel {
            decode_base: Nanos(10),
            decode_position: Nanos(0),
            encode_picture: Nanos(5),
            denoise: vec![segment; 2],
            render: vec![segment; 4],
        };
        let config = SchedulerConfig {
            budget,
            max_num_seqs: max_jobs,
            max_num_batched_tokens: 24,
            max_num_encodes: 1,
            max_num_denoise_rows: 4,
            max_num_waiting: max_jobs,
            kv: KvConfig { num_blocks, ..kv },
            cost,
            max_token_gap: Nanos(25),
            max_num_deferred: 2,
        };
        Self {
            role,
            scheduler: Scheduler::new(config),
            tasks: BTreeMap::new(),
            names: BTreeMap::new(),
            num_sequences: 0,
        }
    }

    /// Does what it is told; `wish` is the request's, `memory` the condition's of a drawing.
    pub(crate) fn order(
        &mut self,
        order: Order,
        wish: Option<&Rc<Wish>>,
        memory: Option<Memory>,
    ) -> Vec<WorkerMessage> {
        match (order, wish, memory) {
            (Order::Write { job, journal, .. }, Some(wish), _) => {
                self.tasks.insert(job, Task::writing(wish, journal));
                self.go_on(job);
                Vec::new()
            }
            (Order::Draw { job, .. }, Some(wish), Some(memory)) => {
                self.tasks.insert(job, Task::drawing(wish, memory));
                self.go_on(job);
                Vec::new()
            }
            (Order::Picture { job, position, picture }, _, _) => {
                let Some(task) = self.tasks.get_mut(&job) else { return Vec::new() };
                assert_eq!(position, task.entries.len(), "the picture is the one that is awaited");
                assert!(task.sequence.is_none(), "only who waits gets a picture");
                let _the_front_has_it = task.push(job, Entry::Picture(picture));
                self.go_on(job);
                Vec::new()
            }
            (Order::Abort { job }, _, _) => {
                if self.tasks.contains_key(&job) {
                    self.drop_task(job);
                    return vec![WorkerMessage::Aborted { job }];
                }
                Vec::new()
            }
            (Order::Write { .. } | Order::Draw { .. } | Order::Shutdown, _, _) => Vec::new(),
        }
    }

    /// Gives the task to the scheduler.
    fn go_on(&mut self, job: JobId) {
        let Some(task) = self.tasks.get_mut(&job) else { return };
        self.num_sequences += 1;
        let id = SequenceId(self.num_sequences);
        task.sequence = Some(id);
        task.phase = Phase::Queued;
        self.names.insert(id, job);
        let (tenant, priority) = (TenantId(task.wish.tenant), task.wish.priority);
        let drawing = task.drawing_spec();
        let taken = if task.is_drawing {
            let spec = PictureSpec { id, tenant, priority, picture: 0, drawing };
            self.scheduler.add_picture(&spec)
        } else {
            self.scheduler.add(SequenceSpec {
                id,
                tenant,
                priority,
                prompt: task.wish.prompt.clone(),
                written: task.written(),
                negative: None,
                limits: task.wish.limits,
                num_beams: 1,
                drawing,
            })
        };
        taken.expect("the front sends no more jobs than fit");
    }

    fn drop_task(&mut self, job: JobId) {
        if let Some(sequence) = self.tasks.remove(&job).and_then(|task| task.sequence) {
            self.names.remove(&sequence);
            self.scheduler.abort(sequence);
        }
    }

    /// A job's numbers are not finite.
    pub(crate) fn fail(&mut self, job: JobId) -> Option<WorkerMessage> {
        self.tasks.contains_key(&job).then(|| {
            self.drop_task(job);
            WorkerMessage::Failed { job, fault: JobFault::NotFinite }
        })
    }

    /// Every job here, whose it is, and what it is at.
    pub(crate) fn phases(&self) -> Vec<(JobId, u64, Phase)> {
        self.tasks.iter().map(|(job, task)| (*job, task.wish.id, task.phase)).collect()
    }

    /// A job and the entry it comes to next.
    pub(crate) fn some_document(&self) -> Option<(JobId, usize)> {
        let (job, task) = self.tasks.iter().find(|(_, task)| !task.is_drawing)?;
        Some((*job, task.entries.len()))
    }

    /// What the next step is to compute; empty if there is nothing to do.
    pub(crate) fn plan(&mut self) -> StepPlan {
        let plan = self.scheduler.schedule();
        for row in &plan.decode {
            let is_next_token = row.sample.is_some() && row.num_positions() == 1;
            let phase = if is_next_token { Phase::Decoding } else { Phase::Computing };
            self.enter(row.sequence, phase);
        }
        for row in plan.denoise_rows() {
            self.enter(row.sequence, Phase::Denoising);
        }
        if let Some(row) = &plan.render {
            self.enter(row.sequence, Phase::Rendering);
        }
        plan
    }

    fn enter(&mut self, sequence: SequenceId, phase: Phase) {
        let task = self.names.get(&sequence).and_then(|job| self.tasks.get_mut(job));
        if let Some(task) = task {
            task.phase = phase;
        }
    }

    /// The wish in `plan` that is poison to what is about to be computed.
    pub(crate) fn poisoned_by(&self, plan: &StepPlan) -> Option<Rc<Wish>> {
        plan.sequences().into_iter().find_map(|sequence| {
            let task = self.names.get(&sequence).and_then(|job| self.tasks.get(job))?;
            let poison = task.wish.poison?;
            (poison.phase == task.phase).then(|| Rc::clone(&task.wish))
        })
    }

    /// Computes `plan`.
    pub(crate) fn execute(&mut self, plan: &StepPlan) -> Vec<WorkerMessage> {
        let mut messages = Vec::new();
        let mut outcome = StepOutcome::default();
        for row in &plan.decode {
            let Some(legal) = row.sample else { continue };
            let Some(job) = self.names.get(&row.sequence).copied() else { continue };
            let Some(task) = self.tasks.get_mut(&job) else { continue };
            let (sampled, entry) = task.memory.sample(legal, &task.wish.limits, task.num_images());
            messages.extend(entry.map(|entry| task.push(job, entry)));
            outcome.sampled.push(SampledRow { sequence: row.sequence, sampled });
        }
        if let Some(row) = plan.render.filter(|row| row.segments.is_last()) {
            messages.extend(self.render(row.sequence, &mut outcome));
        }
        for (sequence, event) in self.scheduler.update(plan, &outcome).events {
            messages.extend(self.react(sequence, event));
        }
        messages
    }

    /// A picture is there.
    fn render(&mut self, sequence: SequenceId, outcome: &mut StepOutcome) -> Option<WorkerMessage> {
        let job = self.names.get(&sequence).copied()?;
        let task = self.tasks.get_mut(&job)?;
        let picture = task.memory.picture(task.wish.num_steps);
        outcome.rendered.push(RenderedRow { sequence, content: ContentHash(picture.0) });
        let entry = Entry::Picture(picture);
        if !task.is_drawing {
            return Some(task.push(job, entry));
        }
        self.tasks.remove(&job);
        Some(WorkerMessage::Drawn { job, picture, num_bytes: num_bytes(entry) })
    }

    fn react(&mut self, sequence: SequenceId, event: SequenceEvent) -> Option<WorkerMessage> {
        let job = self.names.get(&sequence).copied()?;
        match event {
            SequenceEvent::ImageStarted { .. } => {
                let task = self.tasks.get_mut(&job)?;
                if self.role.draws() {
                    return Some(WorkerMessage::Drawing { job });
                }
                task.sequence = None;
                task.phase = Phase::Awaiting;
                self.names.remove(&sequence);
                self.scheduler.abort(sequence);
                let (position, cost) = (task.entries.len(), cost_of_picture(&task.wish));
                Some(WorkerMessage::NeedsPicture { job, position, cost })
            }
            SequenceEvent::Denoised { .. } | SequenceEvent::Failed { .. } => None,
            SequenceEvent::Finished { reason, .. } => {
                self.names.remove(&sequence);
                let task = self.tasks.remove(&job)?;
                let num_entries = task.entries.len();
                Some(WorkerMessage::Ended { job, num_entries, reason })
            }
        }
    }
}
