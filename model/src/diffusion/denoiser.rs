//! Pictures being drawn: jobs that each own their latents and schedule, and the denoiser that moves
//! any number of them one step forward in one UNet pass. Knows conditions, not prompts; a job's noise
//! is keyed by its request and so never depends on its neighbours.

use std::fmt::Display;

use candle_core::{DType, Tensor};

use super::SamplerKind;
use super::denoise_pass::{FinishProgress, Predictions, StepPass, StepProgress};
use super::guidance::Guidance;
use super::latent_colors::LatentColors;
use super::noise_schedule::NoiseSchedule;
use super::probe::Probe;
use super::sampler::{Sampler, new_sampler};
use super::unet::{Unet, UnetProgress};
use super::vae::{DecodePass, DecodeProgress, Vae};
use crate::config::HeadConfig;
use crate::error::ModelError;
use crate::noise::{NoiseDraw, NoiseKey, NoiseSource};
use crate::picture::Picture;
use crate::projector::Projector;
use crate::weights::Weights;

/// How one picture is drawn (diffusers' names).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenoiseParams {
    /// Which update rule.
    pub sampler: SamplerKind,
    /// Denoising steps.
    pub num_inference_steps: usize,
    /// 1 and below: no guidance.
    pub guidance_scale: f32,
    /// Share of Lin et al.'s rescaling, 0 to 1.
    pub guidance_rescale: f32,
    /// DDIM's share of the ancestral variance, 0 to 1; 0 for other samplers.
    pub eta: f32,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

impl DenoiseParams {
    /// Checks all parameters against what a checkpoint can do, without starting anything.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] naming the first parameter that cannot be served.
    pub fn validate(&self, head: &HeadConfig) -> Result<(), ModelError> {
        let schedule = NoiseSchedule::new(&head.noise_schedule);
        self.new_sampler(&schedule, head.vae.scale_factor()).map(drop)
    }

    /// The sampler of a job with these parameters, all of them checked.
    fn new_sampler(
        &self,
        schedule: &NoiseSchedule,
        picture_multiple: usize,
    ) -> Result<Box<dyn Sampler>, ModelError> {
        let refusal = |parameter, found: &dyn Display, wanted: String| {
            Err(ModelError::Parameter { parameter, found: found.to_string(), wanted })
        };
        for (parameter, pixels) in [("width", self.width), ("height", self.height)] {
            if pixels == 0 || !pixels.is_multiple_of(picture_multiple) {
                let wanted = format!("a positive multiple of {picture_multiple}");
                return refusal(parameter, &pixels, wanted);
            }
        }
        if !self.guidance_scale.is_finite() {
            let wanted = "a finite number".to_owned();
            return refusal("guidance_scale", &self.guidance_scale, wanted);
        }
        if !(0.0..=1.0).contains(&self.guidance_rescale) {
            return refusal("guidance_rescale", &self.guidance_rescale, "0 to 1".to_owned());
        }
        new_sampler(self.sampler, schedule, self.num_inference_steps, self.eta)
    }
}

/// One picture to draw.
#[derive(Debug, Clone)]
pub struct DenoiseRequest {
    /// How.
    pub params: DenoiseParams,
    /// What it shows, (Q, D): [`Denoiser::condition`] of the dream queries' states.
    pub condition: Tensor,
    /// What it does not show, (Q, D); used only with guidance, and then necessary.
    pub negative: Option<Tensor>,
    /// The request's seed.
    pub seed: u64,
    /// Which of the request's alternative answers.
    pub choice: u32,
    /// Which picture of the answer.
    pub picture: u32,
}

/// A picture being drawn.
pub struct DenoiseJob {
    guidance: Guidance,
    /// (rows, Q, D): the negative condition first, where there is guidance.
    conditions: Tensor,
    seed: u64,
    choice: u32,
    picture: u32,
    /// Channels, height, width.
    latent_shape: (usize, usize, usize),
    latents: Vec<f32>,
    sampler: Box<dyn Sampler>,
    steps_done: usize,
}

impl DenoiseJob {
    /// Rows it takes in a UNet pass: 2 with guidance, else 1.
    pub fn rows(&self) -> usize {
        if self.guidance.is_active() { 2 } else { 1 }
    }

    /// Steps taken.
    pub fn steps_done(&self) -> usize {
        self.steps_done
    }

    /// Steps in all: `num_inference_steps`, and one more with PNDM.
    pub fn total_steps(&self) -> usize {
        self.sampler.timesteps().len()
    }

    /// Whether no step is left.
    pub fn is_done(&self) -> bool {
        self.steps_done == self.total_steps()
    }

    /// Latent channels, height and width. Jobs of one shape share a pass.
    pub fn latent_shape(&self) -> (usize, usize, usize) {
        self.latent_shape
    }

    /// (rows, Q, D): what it is drawn from; the negative condition first, where there is guidance.
    pub fn conditions(&self) -> &Tensor {
        &self.conditions
    }

    /// The training timestep at which the UNet is asked in the next step.
    ///
    /// # Panics
    /// If no step is left.
    pub fn timestep(&self) -> f32 {
        self.sampler.timesteps()[self.steps_done]
    }

    /// The latents as they are, scaled, of [`latent_shape`](Self::latent_shape).
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    fn noise(&self, draw: NoiseDraw, noise: &dyn NoiseSource) -> Vec<f32> {
        let Self { seed, choice, picture, .. } = *self;
        noise.normal(&NoiseKey { seed, choice, picture, draw }, self.latents.len())
    }

    /// What the picture would be if it were complete now: the clean latents that `prediction`, the UNet's for this
    /// job's rows and its next step, implies; scaled, of [`latent_shape`](Self::latent_shape).
    ///
    /// # Panics
    /// As [`take_step`](Self::take_step).
    pub fn predicted_clean(&self, prediction: &[f32]) -> Vec<f32> {
        let guided = self.guided(prediction);
        self.sampler.predicted_clean(self.steps_done, &guided, &self.latents)
    }

    /// The prediction for all latents, from those of its rows.
    fn guided(&self, prediction: &[f32]) -> Vec<f32> {
        assert!(!self.is_done(), "a step is left");
        assert_eq!(prediction.len(), self.rows() * self.latents.len(), "its own rows");
        match prediction.split_at(prediction.len() - self.latents.len()) {
            ([], positive) => positive.to_vec(),
            (negative, positive) => self.guidance.combine(negative, positive),
        }
    }

    /// Makes the step that `prediction` is for: the UNet's for this job's rows, (rows · C · h · w) values.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] if the latents are no numbers any more.
    ///
    /// # Panics
    /// If no step is left, or the prediction has another length.
    pub fn take_step(
        &mut self,
        prediction: &[f32],
        noise: &dyn NoiseSource,
    ) -> Result<(), ModelError> {
        let guided = self.guided(prediction);
        let index = self.steps_done;
        let fresh = self
            .sampler
            .needs_noise(index)
            .then(|| self.noise(NoiseDraw::Step(index as u32), noise));
        self.sampler.step(index, &guided, &mut self.latents, fresh.as_deref());
        self.steps_done += 1;
        ModelError::unless_finite("denoiser", &self.latents)
    }
}

/// The second half of DreamLLM: what the decoder dreamt, drawn. `StableDiffusionHead` of the
/// reference.
#[derive(Debug, Clone)]
pub struct Denoiser {
    projector: Projector,
    unet: Unet,
    vae: Vae,
    schedule: NoiseSchedule,
    picture_multiple: usize,
}

impl Denoiser {
    /// Reads the weights; expects `weights` at the checkpoint's root. `hidden_size` is the decoder's.
    ///
    /// # Errors
    /// [`ModelError`] if a tensor is missing or misshapen, or a block type unknown.
    pub fn load<'a>(
        config: &HeadConfig,
        hidden_size: usize,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let vb = weights.into().pp("stable_diffusion_head");
        let condition_size = config.unet.cross_attention_dim;
        Ok(Self {
            projector: Projector::load(
                &config.projector,
                hidden_size,
                condition_size,
                false,
                vb.pp("projector"),
            )?,
            unet: Unet::load(&config.unet, vb.pp("unet"))?,
            vae: Vae::load(&config.vae, vb.pp("vae"))?,
            schedule: NoiseSchedule::new(&config.noise_schedule),
            picture_multiple: config.vae.scale_factor(),
        })
    }

    /// The UNet.
    pub fn unet(&self) -> &Unet {
        &self.unet
    }

    /// The VAE.
    pub fn vae(&self) -> &Vae {
        &self.vae
    }

    /// What colours latents have, about. Takes as long as a small picture through the VAE.
    ///
    /// # Errors
    /// As [`LatentColors::fit`].
    pub fn latent_colors(&self) -> Result<LatentColors, ModelError> {
        LatentColors::fit(&self.vae)
    }

    /// The decoder's states at the dream queries, (Q, hidden), as the UNet's condition, (Q, D).
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if shapes disagree.
    pub fn condition(&self, dream_hidden: &Tensor) -> Result<Tensor, ModelError> {
        self.projector.forward(dream_hidden)
    }

    /// A job at its initial noise.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] as [`DenoiseParams::validate`], or if guidance lacks its negative
    /// condition; [`ModelError::Tensor`] if conditions differ in shape.
    pub fn start(
        &self,
        request: DenoiseRequest,
        noise: &dyn NoiseSource,
    ) -> Result<DenoiseJob, ModelError> {
        let DenoiseRequest { params, condition, negative, seed, choice, picture } = request;
        let sampler = params.new_sampler(&self.schedule, self.picture_multiple)?;
        let guidance = Guidance { scale: params.guidance_scale, rescale: params.guidance_rescale };
        let conditions = match (guidance.is_active(), negative) {
            (false, _) => condition.unsqueeze(0)?,
            (true, Some(negative)) => Tensor::stack(&[&negative, &condition], 0)?,
            (true, None) => {
                return Err(ModelError::Parameter {
                    parameter: "negative",
                    found: "none".to_owned(),
                    wanted: "a condition for the negative branch of guidance".to_owned(),
                });
            }
        };
        let multiple = self.picture_multiple;
        let latent_shape =
            (self.vae.latent_channels(), params.height / multiple, params.width / multiple);
        let latents = vec![0.0; latent_shape.0 * latent_shape.1 * latent_shape.2];
        let mut job = DenoiseJob {
            guidance,
            conditions,
            seed,
            choice,
            picture,
            latent_shape,
            latents,
            sampler,
            steps_done: 0,
        };
        let scale = job.sampler.init_noise_sigma();
        job.latents = job.noise(NoiseDraw::Initial, noise);
        job.latents.iter_mut().for_each(|latent| *latent *= scale);
        Ok(job)
    }

    /// Moves every unfinished job one step forward: one UNet pass for all jobs of one latent shape,
    /// each at its own timestep, sampler and guidance.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if conditions differ in shape or the device is out of memory, or
    /// [`ModelError::NotFinite`] if latents overflow; jobs of shapes not yet reached have not moved then.
    pub fn step(
        &self,
        jobs: &mut [&mut DenoiseJob],
        noise: &dyn NoiseSource,
    ) -> Result<(), ModelError> {
        let mut waiting: Vec<&mut DenoiseJob> =
            jobs.iter_mut().map(|job| &mut **job).filter(|job| !job.is_done()).collect();
        while let Some(first) = waiting.first() {
            let shape = first.latent_shape;
            let (mut together, others): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|job| job.latent_shape == shape);
            self.step_together(&mut together, noise)?;
            waiting = others;
        }
        Ok(())
    }

    /// One step of unfinished jobs of one latent shape, at least one.
    fn step_together(
        &self,
        jobs: &mut [&mut DenoiseJob],
        noise: &dyn NoiseSource,
    ) -> Result<(), ModelError> {
        let under_way: Vec<&DenoiseJob> = jobs.iter().map(|job| &**job).collect();
        let mut pass = self.begin_step(&under_way)?;
        let predictions = loop {
            match self.advance_step(pass)? {
                StepProgress::More(rest) => pass = rest,
                StepProgress::Done(predictions) => break predictions,
            }
        };
        let mut moved = Ok(());
        for (index, job) in jobs.iter_mut().enumerate() {
            moved = moved.and(job.take_step(predictions.of(index), noise));
        }
        moved
    }

    /// How many times a step can be [advanced](Self::advance_step).
    pub fn num_step_segments(&self) -> usize {
        self.unet.num_segments()
    }

    /// Starts the next step of `jobs`, at least one, all unfinished and of one latent shape: one UNet pass
    /// for all of them. The jobs do not move before they [take](DenoiseJob::take_step) what it comes to.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if shapes differ or the device is out of memory.
    pub fn begin_step(&self, jobs: &[&DenoiseJob]) -> Result<StepPass, ModelError> {
        self.begin_step_probed(jobs, &mut Probe::blind())
    }

    /// As [`begin_step`](Self::begin_step), showing inner activations; whoever wants to see those of the blocks begins
    /// the pass with this.
    ///
    /// # Errors
    /// As [`begin_step`](Self::begin_step).
    pub fn begin_step_probed(
        &self,
        jobs: &[&DenoiseJob],
        probe: &mut Probe<'_>,
    ) -> Result<StepPass, ModelError> {
        let (mut sample, mut timesteps, mut lens) = (Vec::new(), Vec::new(), Vec::new());
        let mut conditions = Vec::with_capacity(jobs.len());
        for job in jobs {
            let scaled = job.sampler.scale_model_input(&job.latents, job.steps_done);
            for _ in 0..job.rows() {
                sample.extend_from_slice(&scaled);
                timesteps.push(job.sampler.timesteps()[job.steps_done]);
            }
            conditions.push(&job.conditions);
            lens.push(job.rows() * scaled.len());
        }
        let (channels, height, width) = jobs[0].latent_shape;
        let shape = (timesteps.len(), channels, height, width);
        let sample = Tensor::from_vec(sample, shape, self.unet.device())?;
        let conditions = Tensor::cat(&conditions, 0)?;
        let unet = self.unet.begin(&sample, &timesteps, &conditions, probe)?;
        Ok(StepPass { unet, lens })
    }

    /// Computes one more segment. Resting between calls changes nothing.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if the device is out of memory.
    pub fn advance_step(&self, pass: StepPass) -> Result<StepProgress, ModelError> {
        self.advance_step_probed(pass, &mut Probe::blind())
    }

    /// As [`advance_step`](Self::advance_step), showing inner activations.
    ///
    /// # Errors
    /// As [`advance_step`](Self::advance_step).
    pub fn advance_step_probed(
        &self,
        pass: StepPass,
        probe: &mut Probe<'_>,
    ) -> Result<StepProgress, ModelError> {
        let StepPass { unet, lens } = pass;
        match self.unet.advance(unet, probe)? {
            UnetProgress::More(unet) => Ok(StepProgress::More(StepPass { unet, lens })),
            UnetProgress::Done(prediction) => {
                let values = prediction.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
                Ok(StepProgress::Done(Predictions { values, lens }))
            }
        }
    }

    /// The picture of a job whose steps are all done.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if steps are left; [`ModelError::Tensor`] if the device is out of
    /// memory; [`ModelError::NotFinite`] if the VAE overflows.
    pub fn finish(&self, job: &DenoiseJob) -> Result<Picture, ModelError> {
        let mut pass = self.begin_finish(job)?;
        loop {
            match self.advance_finish(pass)? {
                FinishProgress::More(rest) => pass = rest,
                FinishProgress::Done(picture) => return Ok(picture),
            }
        }
    }

    /// How many times a picture can be [advanced](Self::advance_finish).
    pub fn num_finish_segments(&self) -> usize {
        self.vae.num_decode_segments()
    }

    /// Starts to decode a job whose steps are all done.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn begin_finish(&self, job: &DenoiseJob) -> Result<DecodePass, ModelError> {
        if !job.is_done() {
            return Err(ModelError::Parameter {
                parameter: "num_inference_steps",
                found: format!("{} done", job.steps_done),
                wanted: format!("all {} before the picture is decoded", job.total_steps()),
            });
        }
        let (channels, height, width) = job.latent_shape;
        let shape = (1, channels, height, width);
        let latents = Tensor::from_slice(&job.latents, shape, self.vae.device())?;
        self.vae.begin_decode(&self.vae.unscale_latents(&latents)?, &mut Probe::blind())
    }

    /// Computes one more segment. Resting between calls changes nothing.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn advance_finish(&self, pass: DecodePass) -> Result<FinishProgress, ModelError> {
        match self.vae.advance_decode(pass, &mut Probe::blind())? {
            DecodeProgress::More(rest) => Ok(FinishProgress::More(rest)),
            DecodeProgress::Done(pixels) => {
                Ok(FinishProgress::Done(self.vae.to_picture(&pixels.get(0)?)?))
            }
        }
    }
}
