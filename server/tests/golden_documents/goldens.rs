//! The golden checkpoint, vectors and noise, and a loop that drives a runner without a thread.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Device, Tensor};
use reverie_model::Picture;
use reverie_model::diffusion::SamplerKind;
use reverie_model::noise::{NoiseDraw, NoiseKey, NoiseSource};
use reverie_scheduler::{
    CostModel, FinishReason, RenderedRow, Sampled, SampledRow, Scheduler, SchedulerConfig,
    SchedulerStats, SequenceEvent, SequenceId, StepOutcome, TokenId, Usage,
};
use reverie_server::args::{DeviceChoice, DtypeChoice};
use reverie_server::engine::EngineConfig;
use reverie_server::engine::candle_runner::CandleRunner;
use reverie_server::engine::request::{
    EngineRequest, ImageChoice, ONE_TENANT, PictureParams, PromptSegment, RequestIdentity,
    SamplingParams, StoppingParams,
};
use reverie_server::engine::runner::{ModelRunner, RenderedPicture, SampledToken, TokenChoice};
use reverie_server::engine::scheduling::scheduler_config;
use reverie_server::engine::sequence_spec;
use reverie_server::startup::PreparedModel;

fn path(relative: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens")).join(relative)
}

pub(crate) fn golden_runner(noise: impl NoiseSource + 'static) -> CandleRunner {
    let (folder, cache) = (path("checkpoint"), std::env::temp_dir());
    let prepared = PreparedModel::open(Some(&folder), &cache, DeviceChoice::Cpu, DtypeChoice::F32)
        .expect("the golden checkpoint is usable");
    let model = prepared.load().expect("the golden checkpoint loads");
    CandleRunner::new(model, Box::new(noise)).expect("the unconditional branch runs")
}

pub(crate) fn golden_picture(name: &str) -> Arc<Picture> {
    let picture = image::open(path("vectors/images").join(name)).expect("a picture").to_rgb8();
    Arc::new(Picture::new(picture.width(), picture.height(), picture.into_raw()))
}

pub(crate) fn json(name: &str) -> serde_json::Value {
    let text = std::fs::read(path("vectors").join(name)).expect("a golden file");
    serde_json::from_slice(&text).expect("JSON")
}

/// All tensors of one file.
pub(crate) struct Vectors(HashMap<String, Tensor>);

impl Vectors {
    pub(crate) fn read(name: &str) -> Self {
        let file = path("vectors").join(format!("{name}.safetensors"));
        Self(candle_core::safetensors::load(file, &Device::Cpu).expect("golden vectors"))
    }

    fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no vector {name}"))
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        let ids = self.get(name).flatten_all().and_then(|ids| ids.to_vec1::<i64>());
        ids.expect("ids").into_iter().map(|id| u32::try_from(id).expect("an id")).collect()
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.get(name).flatten_all().and_then(|x| x.to_vec1()).expect("floats")
    }

    /// One (steps, …) tensor, step by step.
    pub(crate) fn steps(&self, name: &str) -> Vec<Vec<f32>> {
        let tensor = self.get(name);
        let step = |index| tensor.get(index).and_then(|x| x.flatten_all()?.to_vec1());
        (0..tensor.dims()[0]).map(|index| step(index).expect("floats")).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A (1, height, width, 3) tensor.
    pub(crate) fn picture(&self, name: &str) -> Picture {
        let (_, height, width, _) = self.get(name).dims4().expect("a picture");
        let rgb = self.get(name).flatten_all().and_then(|x| x.to_vec1::<u8>()).expect("bytes");
        Picture::new(width as u32, height as u32, rgb)
    }
}

/// Plays the reference's noise back, by the request's seed and the picture's number.
#[derive(Default)]
pub(crate) struct PlaybackNoise(HashMap<(u64, u32), PictureNoise>);

struct PictureNoise {
    first: Vec<f32>,
    steps: Vec<Vec<f32>>,
}

impl PlaybackNoise {
    pub(crate) fn add(&mut self, seed: u64, picture: u32, first: Vec<f32>, steps: Vec<Vec<f32>>) {
        self.0.insert((seed, picture), PictureNoise { first, steps });
    }
}

impl NoiseSource for PlaybackNoise {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        let recorded = &self.0[&(key.seed, key.picture)];
        let noise = match key.draw {
            NoiseDraw::Initial => &recorded.first,
            NoiseDraw::Step(step) => &recorded.steps[step as usize],
        };
        assert_eq!(noise.len(), len, "noise of the size of the latents");
        noise.clone()
    }
}

/// The greatest difference of two pictures of one size, in 8-bit steps.
pub(crate) fn largest_difference(found: &Picture, wanted: &Picture) -> u8 {
    assert_eq!((found.width(), found.height()), (wanted.width(), wanted.height()));
    found.rgb().iter().zip(wanted.rgb()).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels")
}

/// Greedy, as many tokens as fit, pictures as the model likes: DDPM, 4 steps, guidance 7.5, 64 pixels.
pub(crate) fn golden_request(prompt: Vec<PromptSegment>) -> EngineRequest {
    EngineRequest {
        prompt,
        sampling: SamplingParams::greedy(),
        stopping: StoppingParams {
            max_tokens: None,
            min_tokens: 0,
            ignore_eos: false,
            ends_with_images: false,
            stop: Vec::new(),
        },
        pictures: PictureParams {
            choice: ImageChoice::Auto,
            max_images: 4,
            width: 64,
            height: 64,
            num_inference_steps: 4,
            guidance_scale: 7.5,
            guidance_rescale: 0.0,
            eta: 0.0,
            negative_prompt: None,
            sampler: SamplerKind::Ddpm,
            seed: 0,
            format: reverie_model::picture_codec::PictureFormat::Png,
            progress: None,
            trace: None,
        },
        choice: 0,
        deadline: None,
        tenant: ONE_TENANT,
        priority: 0,
        identity: RequestIdentity::default(),
    }
}

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    Token(u32),
    EndOfText,
    Picture(Arc<Picture>),
}

/// A request's parts, why it ended, and what it took.
pub(crate) type Written = (Vec<Part>, FinishReason, Usage);

/// Drives `runner` until the request is done.
pub(crate) fn write(
    runner: &mut CandleRunner,
    request: EngineRequest,
    max_num_batched_tokens: usize,
) -> Written {
    let config = limits(runner, 1, max_num_batched_tokens);
    let (mut written, _) = write_together(runner, vec![request], config);
    written.remove(0)
}

/// The scheduler's limits for so many requests at once.
pub(crate) fn limits(
    runner: &CandleRunner,
    max_num_seqs: usize,
    max_num_batched_tokens: usize,
) -> SchedulerConfig {
    let config = EngineConfig {
        max_num_seqs,
        max_num_batched_tokens,
        max_num_encodes: 1,
        max_num_waiting: 0,
        // Five beams, each of them a full context.
        num_kv_blocks: (2 * max_num_seqs).max(5) * runner.budget().max_model_len.div_ceil(16),
        max_token_gap: Duration::MAX,
    };
    scheduler_config(&config, runner.budget(), CostModel::unmeasured())
}

/// Drives `runner` until all requests are done; what came of each, and the scheduler's numbers at the end.
pub(crate) fn write_together(
    runner: &mut CandleRunner,
    requests: Vec<EngineRequest>,
    config: SchedulerConfig,
) -> (Vec<Written>, SchedulerStats) {
    let mut scheduler = Scheduler::new(config);
    let mut parts: Vec<Vec<Part>> = Vec::new();
    let mut ends = BTreeMap::new();
    for request in requests {
        let (id, request) = (SequenceId(parts.len() as u64), Arc::new(request));
        let opened = runner.open(id, &request).expect("a request that the model can serve");
        let spec = sequence_spec::sequence_spec(id, &request, opened.drawing);
        scheduler.add(spec).expect("a place for each request");
        parts.push(Vec::new());
    }
    while ends.len() < parts.len() {
        let plan = scheduler.schedule();
        let output = runner.execute(&plan).expect("a step");
        let mut outcome = StepOutcome::default();
        for SampledToken { sequence, choice, .. } in output.sampled {
            let sampled = take(choice, &mut parts[sequence.0 as usize]);
            outcome.sampled.push(SampledRow { sequence, sampled });
        }
        for RenderedPicture { sequence, picture, content } in output.rendered {
            outcome.rendered.push(RenderedRow { sequence, content });
            parts[sequence.0 as usize].push(Part::Picture(picture));
        }
        for (id, event) in scheduler.update(&plan, &outcome).events {
            if let SequenceEvent::Finished { reason, usage } = event {
                runner.close(id);
                ends.insert(id, (reason, usage));
            }
        }
    }
    let ends = ends.into_values();
    let written =
        parts.into_iter().zip(ends).map(|(parts, (reason, usage))| (parts, reason, usage));
    (written.collect(), scheduler.stats())
}

fn take(choice: TokenChoice, parts: &mut Vec<Part>) -> Sampled {
    match choice {
        TokenChoice::Text(id) => {
            parts.push(Part::Token(id));
            Sampled::Text(TokenId(id))
        }
        TokenChoice::EndOfText => {
            parts.push(Part::EndOfText);
            Sampled::EndOfText
        }
        TokenChoice::DreamStart => Sampled::DreamStart,
        TokenChoice::BeamsAdvanced => Sampled::BeamsAdvanced,
        TokenChoice::BeamsFinished { ids, reason } => {
            let num_tokens = ids.len() + usize::from(reason == FinishReason::EndOfText);
            parts.extend(ids.into_iter().map(Part::Token));
            Sampled::BeamsFinished { num_tokens, reason }
        }
    }
}
