//! A runner without a model: it plays scripts of tokens, dreams and failures, one for each request, in
//! the order they come. For trying the engine and the edge in front of it. Knows no weights.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use reverie_model::Picture;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_model::token_logprobs::{TokenLogprob, TokenLogprobs};
use reverie_scheduler::{
    Branch, Budget, CostModel, DecodeRow, DenoiseRow, DrawingSpec, FinishReason, LegalTokens,
    RenderRow, SequenceId, StepPlan,
};

use super::Clock;
use super::event::EngineError;
use super::order::{Condition, Conditions, WrittenPiece};
use super::request::{EngineRequest, PictureParams};
use super::runner::{
    ModelRunner, OpenedSequence, PicturePreview, RenderedPicture, SampledToken, StepOutput,
    TextDecoder, TokenChoice, TracedPicture,
};
use super::sequence_spec::{content_hash, drawing_spec};

/// Observations that may wait for a [`StepControl`] that looks elsewhere.
const MAX_OBSERVATIONS: usize = 1024;

/// What a scripted sequence does when a token is to be chosen. What is not legal then is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptItem {
    /// A token with this text.
    Text(String),
    /// `<dream_start>`.
    Dream,
    /// `</s>`.
    End,
    /// The step fails.
    Fail(String),
    /// The runner panics.
    Panic(String),
    /// The step fails, and so does everything after it.
    Poison,
    /// Every beam advances by a token.
    BeamsAdvance,
    /// The beams are finished with these texts and `</s>`.
    BeamsEnd(Vec<String>),
}

/// One sequence's script. Behind its end stands `</s>`, or "…" where that is not legal.
pub type Script = Vec<ScriptItem>;

/// Plays scripts.
pub struct ScriptedRunner {
    budget: Budget,
    scripts: VecDeque<Script>,
    playing: BTreeMap<SequenceId, Playing>,
    words: Words,
    control: Option<Controlled>,
    poisoned: bool,
}

/// What a controlled runner tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// It is about to execute this plan, and waits.
    Step(StepPlan),
    /// A sequence was closed.
    Closed(SequenceId),
}

/// Holds a controlled runner's reins: it executes a step only when told to.
pub struct StepControl {
    observations: Receiver<Observation>,
    permits: SyncSender<()>,
}

struct Controlled {
    observations: SyncSender<Observation>,
    permits: Receiver<()>,
}

struct Playing {
    request: Arc<EngineRequest>,
    script: VecDeque<ScriptItem>,
    words: Words,
    computed: BTreeMap<Branch, usize>,
    num_images: u8,
}

/// The texts of all scripts; a token's id is its place here.
#[derive(Debug, Clone)]
pub struct Words(Arc<Vec<String>>);

/// Text of tokens beyond a script's end.
const FILLER: &str = "…";

impl ScriptedRunner {
    /// A runner that plays `scripts` to the requests in the order they come, and nothing to any further.
    pub fn new(budget: Budget, scripts: Vec<Script>) -> Self {
        let words = Words::of(&scripts);
        let (scripts, playing) = (scripts.into(), BTreeMap::new());
        Self { budget, scripts, playing, words, control: None, poisoned: false }
    }

    /// As [`Self::new`], but before every step the runner tells its plan and waits for
    /// [`StepControl::proceed`].
    pub fn controlled(budget: Budget, scripts: Vec<Script>) -> (Self, StepControl) {
        let (observer, observations) = sync_channel(MAX_OBSERVATIONS);
        let (permits, permitted) = sync_channel(1);
        let mut runner = Self::new(budget, scripts);
        runner.control = Some(Controlled { observations: observer, permits: permitted });
        (runner, StepControl { observations, permits })
    }

    /// What its tokens say.
    pub fn words(&self) -> Words {
        self.words.clone()
    }

    fn play(&mut self, id: SequenceId, request: &Arc<EngineRequest>) -> DrawingSpec {
        let script = self.scripts.pop_front().unwrap_or_default();
        let playing = Playing::new(Arc::clone(request), script, self.words.clone());
        self.playing.insert(id, playing);
        let pictures = &request.pictures;
        drawing_spec(pictures, 1, num_denoising_steps(pictures))
    }

    fn tell(&self, observation: Observation) {
        if let Some(control) = &self.control {
            // Reins that were dropped hold nothing back.
            let _nobody_looks = control.observations.send(observation);
        }
    }

    fn decode(&mut self, row: &DecodeRow) -> Result<Option<SampledToken>, EngineError> {
        let playing = self.playing.get_mut(&row.sequence).expect("rows are of open sequences");
        // A context may begin behind a prefix that was computed before.
        let computed = playing.computed.entry(row.branch).or_insert(row.start);
        assert_eq!(row.start, *computed, "chunks follow one another");
        *computed += row.num_positions();
        let Some(legal) = row.sample else { return Ok(None) };
        let choice = match playing.choose(legal) {
            Ok(choice) => choice,
            Err(Misfortune::Failure(reason)) => return Err(EngineError::Model(reason)),
            Err(Misfortune::Panic(reason)) => panic!("{reason}"),
            Err(Misfortune::Poison) => {
                self.poisoned = true;
                return Err(EngineError::Model("poisoned".to_owned()));
            }
        };
        let logprobs = playing.logprobs(&choice);
        Ok(Some(SampledToken { sequence: row.sequence, choice, logprobs }))
    }

    /// A pixel that says by its shade which step it is of.
    fn preview(&self, row: DenoiseRow) -> Option<PicturePreview> {
        let pictures = &self.playing[&row.sequence].request.pictures;
        let (step, num_steps) = (row.step + 1, num_denoising_steps(pictures));
        let is_wanted = pictures.progress.is_some_and(|wish| wish.wants_preview(step, num_steps));
        let picture = Arc::new(Picture::new(1, 1, vec![step as u8; 3]));
        is_wanted.then_some(PicturePreview { sequence: row.sequence, picture })
    }

    /// A record of a picture whose last step this is: its number.
    fn trace(&self, row: DenoiseRow) -> Option<TracedPicture> {
        let pictures = &self.playing[&row.sequence].request.pictures;
        let is_last = row.step + 1 == num_denoising_steps(pictures);
        let values = vec![row.picture as f32];
        let record = TensorRecord { name: "number".to_owned(), shape: vec![1], values };
        let traced = TracedPicture { sequence: row.sequence, records: vec![record] };
        (is_last && pictures.trace.is_some()).then_some(traced)
    }

    fn render(&mut self, row: RenderRow) -> RenderedPicture {
        let playing = self.playing.get_mut(&row.sequence).expect("rows are of open sequences");
        playing.num_images += 1;
        let pictures = &playing.request.pictures;
        let rgb = vec![playing.num_images; pictures.width * pictures.height * 3];
        let picture = Arc::new(Picture::new(pictures.width as u32, pictures.height as u32, rgb));
        let content = content_hash(&picture);
        RenderedPicture { sequence: row.sequence, picture, content }
    }
}

impl ModelRunner for ScriptedRunner {
    fn budget(&self) -> Budget {
        self.budget
    }

    fn warm_up(&mut self, _: &Clock) -> Result<CostModel, EngineError> {
        Ok(CostModel::unmeasured())
    }

    fn open(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
    ) -> Result<OpenedSequence, EngineError> {
        let drawing = self.play(id, request);
        Ok(OpenedSequence { drawing, text: self.words.decoder() })
    }

    /// What is written elsewhere says nothing to a script.
    fn resume(&mut self, _id: SequenceId, _written: &[WrittenPiece]) -> Result<(), EngineError> {
        Ok(())
    }

    fn open_picture(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
        picture: usize,
        _conditions: &Conditions,
    ) -> Result<DrawingSpec, EngineError> {
        let drawing = self.play(id, request);
        if let Some(playing) = self.playing.get_mut(&id) {
            playing.num_images = picture as u8;
        }
        Ok(drawing)
    }

    fn take_conditions(&mut self, _id: SequenceId) -> Result<Conditions, EngineError> {
        let positive = Condition { num_rows: 1, num_columns: 1, values: vec![0.0] };
        Ok(Conditions { positive, negative: None })
    }

    fn execute(&mut self, plan: &StepPlan) -> Result<StepOutput, EngineError> {
        self.tell(Observation::Step(plan.clone()));
        if let Some(control) = &self.control {
            let _nobody_holds_back = control.permits.recv();
        }
        let mut output = StepOutput::default();
        for id in &plan.preempted {
            if let Some(playing) = self.playing.get_mut(id) {
                playing.computed.clear();
            }
        }
        for row in &plan.decode {
            output.sampled.extend(self.decode(row)?);
        }
        if plan.denoise.as_ref().is_some_and(|group| group.segments.is_last()) {
            output.previews.extend(plan.denoise_rows().iter().filter_map(|row| self.preview(*row)));
            output.traced.extend(plan.denoise_rows().iter().filter_map(|row| self.trace(*row)));
        }
        for row in plan.render.iter().filter(|row| row.segments.is_last()) {
            let rendered = self.render(*row);
            output.rendered.push(rendered);
        }
        Ok(output)
    }

    fn close(&mut self, id: SequenceId) {
        if self.playing.remove(&id).is_some() {
            self.tell(Observation::Closed(id));
        }
    }

    fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl StepControl {
    /// Waits for the next observation.
    ///
    /// # Panics
    /// If the runner is gone.
    pub fn observe(&self) -> Observation {
        self.observations.recv().expect("the runner lives")
    }

    /// Waits for the next plan, passing over sequences that close.
    ///
    /// # Panics
    /// If the runner is gone.
    pub fn plan(&self) -> StepPlan {
        loop {
            if let Observation::Step(plan) = self.observe() {
                return plan;
            }
        }
    }

    /// Lets the runner execute the plan it told.
    pub fn proceed(&self) {
        // A runner that is gone needs no permission.
        let _runner_is_gone = self.permits.send(());
    }
}

fn num_denoising_steps(pictures: &PictureParams) -> usize {
    pictures.num_inference_steps.max(1)
}

enum Misfortune {
    Failure(String),
    Panic(String),
    Poison,
}

impl Playing {
    fn new(request: Arc<EngineRequest>, script: Script, words: Words) -> Self {
        let computed = BTreeMap::new();
        Self { request, script: script.into(), words, computed, num_images: 0 }
    }

    /// Every token is certain; likelier ones are the first of the words.
    fn logprobs(&self, choice: &TokenChoice) -> Option<TokenLogprobs> {
        let num_top = self.request.sampling.num_logprobs?;
        let TokenChoice::Text(_) = choice else { return None };
        let top = (0..num_top as u32).map(|token| TokenLogprob { token, logprob: 0.0 });
        Some(TokenLogprobs { chosen: 0.0, top: top.collect() })
    }

    fn choose(&mut self, legal: LegalTokens) -> Result<TokenChoice, Misfortune> {
        while let Some(item) = self.script.pop_front() {
            match item {
                ScriptItem::Text(text) => return Ok(TokenChoice::Text(self.words.id(&text))),
                ScriptItem::Dream if legal.dream_start => return Ok(TokenChoice::DreamStart),
                ScriptItem::End if legal.end_of_text => return Ok(TokenChoice::EndOfText),
                ScriptItem::Dream | ScriptItem::End => {}
                ScriptItem::Fail(reason) => return Err(Misfortune::Failure(reason)),
                ScriptItem::Panic(reason) => return Err(Misfortune::Panic(reason)),
                ScriptItem::Poison => return Err(Misfortune::Poison),
                ScriptItem::BeamsAdvance => return Ok(TokenChoice::BeamsAdvanced),
                ScriptItem::BeamsEnd(texts) => {
                    let ids = texts.iter().map(|text| self.words.id(text)).collect();
                    return Ok(TokenChoice::BeamsFinished { ids, reason: FinishReason::EndOfText });
                }
            }
        }
        if legal.end_of_text {
            return Ok(TokenChoice::EndOfText);
        }
        Ok(TokenChoice::Text(self.words.0.len() as u32))
    }
}

impl Words {
    fn of(scripts: &[Script]) -> Self {
        let mut words = Vec::new();
        for item in scripts.iter().flatten() {
            match item {
                ScriptItem::Text(text) => words.push(text.clone()),
                ScriptItem::BeamsEnd(texts) => words.extend(texts.iter().cloned()),
                ScriptItem::Dream
                | ScriptItem::End
                | ScriptItem::Fail(_)
                | ScriptItem::Panic(_)
                | ScriptItem::Poison
                | ScriptItem::BeamsAdvance => {}
            }
        }
        Self(Arc::new(words))
    }

    /// Turns ids into these words.
    pub fn decoder(&self) -> Box<dyn TextDecoder> {
        Box::new(WordDecoder(self.clone()))
    }

    fn id(&self, text: &str) -> u32 {
        self.0.iter().position(|word| word == text).expect("every text of the script has an id")
            as u32
    }
}

struct WordDecoder(Words);

impl TextDecoder for WordDecoder {
    fn push(&mut self, id: u32) -> String {
        self.0.0.get(id as usize).map_or(FILLER, String::as_str).to_owned()
    }

    fn flush(&mut self) -> String {
        String::new()
    }
}
