//! Denoiser passes and decodings of latents, segment by segment. Keeps what rests between two steps; who is
//! in a pass and how far it gets is the plan's.

use std::sync::Arc;

use candle_core::Tensor;
use reverie_model::config::Ability;
use reverie_model::diffusion::denoise_pass::{FinishProgress, StepPass, StepProgress};
use reverie_model::diffusion::denoiser::DenoiseJob;
use reverie_model::diffusion::probe::Probe;
use reverie_model::diffusion::trace::Trace;
use reverie_model::diffusion::vae::DecodePass;
use reverie_model::{ModelError, Picture};
use reverie_scheduler::{DenoiseGroup, DenoiseRow, PassId, RenderRow, Segments, SequenceId};

use super::context::ContextPicture;
use super::{CandleRunner, model_error};
use crate::engine::runner::{PicturePreview, RenderedPicture, StepOutput, TracedPicture};

/// What rests between two steps.
#[derive(Default)]
pub(super) struct Resting {
    pass: Option<Pass>,
    render: Option<Render>,
}

/// A denoiser pass that is not over.
struct Pass {
    id: PassId,
    /// Everybody who was in it at its start, in the order of its rows.
    members: Vec<SequenceId>,
    step: StepPass,
    watched: Option<Watched>,
}

/// What a pass shows of itself, where anybody records how a picture is drawn.
#[derive(Default)]
struct Watched {
    /// The row of each member's own condition.
    rows: Vec<usize>,
    /// What each cross-attention looks at, for all rows.
    maps: Vec<(String, Tensor)>,
}

impl Watched {
    /// Of a pass of these jobs.
    fn new(jobs: &[&DenoiseJob]) -> Self {
        let mut end = 0;
        let last_row = |job: &&DenoiseJob| {
            end += job.rows();
            end - 1
        };
        Self { rows: jobs.iter().map(last_row).collect(), maps: Vec::new() }
    }

    fn look(&mut self, name: &str, output: &Tensor) {
        if let Some(module) = name.strip_suffix(".maps") {
            self.maps.push((module.to_owned(), output.clone()));
        }
    }
}

/// A decoding that is not over.
struct Render {
    sequence: SequenceId,
    latents: DecodePass,
}

impl Resting {
    /// `sequence` is gone. A pass goes on for those who are left, judged by `is_open`; a pass that
    /// everybody left is dropped.
    pub(super) fn forget(&mut self, sequence: SequenceId, is_open: impl Fn(&SequenceId) -> bool) {
        if self.pass.as_ref().is_some_and(|pass| !pass.members.iter().any(is_open)) {
            self.pass = None;
        }
        if self.render.as_ref().is_some_and(|render| render.sequence == sequence) {
            self.render = None;
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.pass.is_none() && self.render.is_none()
    }
}

impl CandleRunner {
    /// A part of one UNet pass for all its members; with the last part each of them makes its step.
    pub(super) fn denoise(
        &mut self,
        group: &DenoiseGroup,
        output: &mut StepOutput,
    ) -> Result<(), ModelError> {
        let resting = self.resting.pass.take().filter(|pass| pass.id == group.pass);
        let pass = match resting {
            Some(pass) => Some(pass),
            None => self.begin_pass(group, output)?,
        };
        let Some(Pass { id, members, mut step, mut watched }) = pass else { return Ok(()) };
        let mut left = stretch(group.segments);
        while left > 0 {
            left -= 1;
            let denoiser = self.model.denoiser()?;
            let progress = match &mut watched {
                None => denoiser.advance_step(step)?,
                Some(watched) => {
                    let mut look = |name: &str, output: &Tensor| watched.look(name, output);
                    denoiser.advance_step_probed(step, &mut Probe::with(&mut look))?
                }
            };
            match progress {
                StepProgress::More(rest) => step = rest,
                StepProgress::Done(predictions) => {
                    for (index, member) in members.into_iter().enumerate() {
                        let predicted = (predictions.of(index), index);
                        self.take_step(member, predicted, watched.as_ref(), output);
                    }
                    return Ok(());
                }
            }
        }
        self.resting.pass = Some(Pass { id, members, step, watched });
        Ok(())
    }

    /// The step of one member of a pass, who is number `index` in it; what it shows and records besides.
    fn take_step(
        &mut self,
        member: SequenceId,
        (prediction, index): (&[f32], usize),
        watched: Option<&Watched>,
        output: &mut StepOutput,
    ) {
        // Of those who left meanwhile nobody wants to know.
        let Some(sequence) = self.sequences.get_mut(&member) else { return };
        let wish = sequence.request.pictures.progress;
        let job = sequence.job.as_mut().expect("who joined has a job");
        if let (Some(wish), Some(colors)) = (wish, &self.colors)
            && wish.wants_preview(job.steps_done() + 1, job.total_steps())
        {
            let clean = job.predicted_clean(prediction);
            let picture = Arc::new(colors.picture(&clean, job.latent_shape()));
            output.previews.push(PicturePreview { sequence: member, picture });
        }
        let recorded = match (&mut sequence.trace, watched) {
            (Some(trace), Some(Watched { rows, maps })) => {
                trace.step(job, prediction, (maps, rows[index]))
            }
            (_, _) => Ok(()),
        };
        let taken = recorded.and_then(|()| job.take_step(prediction, &*self.noise));
        if let Err(error) = taken {
            return output.fail(member, model_error(error));
        }
        if job.is_done()
            && let Some(trace) = sequence.trace.take()
        {
            output.traced.push(TracedPicture { sequence: member, records: trace.finish(job) });
        }
    }

    /// A pass of those members whose pictures can be drawn; nothing if there are none.
    fn begin_pass(
        &mut self,
        group: &DenoiseGroup,
        output: &mut StepOutput,
    ) -> Result<Option<Pass>, ModelError> {
        assert_eq!(group.segments.start, 0, "a pass begins with its first segment");
        let mut members = Vec::with_capacity(group.members.len());
        for row in &group.members {
            match self.start_job(row) {
                Ok(()) => members.push(row.sequence),
                Err(error) => output.fail(row.sequence, model_error(error)),
            }
        }
        if members.is_empty() {
            return Ok(None);
        }
        self.counters.denoiser_passes += 1;
        let job = |member: &SequenceId| self.sequences[member].job.as_ref();
        let jobs: Vec<&DenoiseJob> = members.iter().filter_map(job).collect();
        let is_watched = members.iter().any(|member| self.sequences[member].trace.is_some());
        let mut watched = is_watched.then(|| Watched::new(&jobs));
        let denoiser = self.model.denoiser()?;
        let step = match &mut watched {
            None => denoiser.begin_step(&jobs)?,
            Some(watched) => {
                let mut look = |name: &str, output: &Tensor| watched.look(name, output);
                denoiser.begin_step_probed(&jobs, &mut Probe::with(&mut look))?
            }
        };
        Ok(Some(Pass { id: group.pass, members, step, watched }))
    }

    /// Makes sure that the row's sequence has a job, at the row's step.
    fn start_job(&mut self, row: &DenoiseRow) -> Result<(), ModelError> {
        let sequence = self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
        if sequence.job.is_none() {
            let untrained = ModelError::Untrained { ability: Ability::Creation };
            let unconditional = self.unconditional.as_ref().ok_or(untrained)?;
            let request = sequence.denoise_request(row.picture, unconditional);
            let job = self.model.denoiser()?.start(request, &*self.noise)?;
            ModelError::unless_finite("noise", job.latents())?;
            if sequence.request.pictures.trace.is_some() {
                sequence.trace = Some(Trace::begin(&job)?);
            }
            sequence.job = Some(job);
        }
        let steps_done = sequence.job.as_ref().map(DenoiseJob::steps_done);
        assert_eq!(steps_done, Some(row.step), "denoising steps follow one another");
        Ok(())
    }

    /// A part of the decoding of a picture's latents; with the last part the picture is there. What is fed
    /// back is what decoding the delivered file yields.
    pub(super) fn render(
        &mut self,
        row: &RenderRow,
        output: &mut StepOutput,
    ) -> Result<(), ModelError> {
        let resting = self.resting.render.take();
        let resting = resting.filter(|render| render.sequence == row.sequence);
        let mut latents = match resting {
            Some(render) => render.latents,
            None => {
                let job = self.sequence(row.sequence).job.take();
                let job = job.expect("a picture is denoised before it is rendered");
                self.model.denoiser()?.begin_finish(&job)?
            }
        };
        let mut left = stretch(row.segments);
        while left > 0 {
            left -= 1;
            match self.model.denoiser()?.advance_finish(latents) {
                Ok(FinishProgress::More(rest)) => latents = rest,
                Ok(FinishProgress::Done(picture)) => {
                    let rendered = self.deliver(row.sequence, picture)?;
                    output.rendered.push(rendered);
                    return Ok(());
                }
                Err(error @ ModelError::NotFinite { .. }) => {
                    output.fail(row.sequence, model_error(error));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.resting.render = Some(Render { sequence: row.sequence, latents });
        Ok(())
    }

    fn deliver(&mut self, id: SequenceId, picture: Picture) -> Result<RenderedPicture, ModelError> {
        let picture = Arc::new(picture);
        let sequence = self.sequence(id);
        let drawn = ContextPicture::drawn(&picture, sequence.request.pictures.format)?;
        let content = drawn.content;
        sequence.main.pictures.push(drawn);
        Ok(RenderedPicture { sequence: id, picture, content })
    }
}

/// Segments to compute now: all that are left, or as many as the plan says.
fn stretch(segments: Segments) -> usize {
    if segments.is_last() { usize::MAX } else { segments.end - segments.start }
}
