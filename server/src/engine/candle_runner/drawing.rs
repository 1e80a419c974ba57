//! Denoiser passes and decodings of latents, segment by segment. Keeps what rests between two steps; who is
//! in a pass and how far it gets is the plan's.

use std::sync::Arc;

use reverie_model::config::Ability;
use reverie_model::diffusion::denoise_pass::{FinishProgress, StepPass, StepProgress};
use reverie_model::diffusion::denoiser::DenoiseJob;
use reverie_model::diffusion::vae::DecodePass;
use reverie_model::{ModelError, Picture};
use reverie_scheduler::{DenoiseGroup, DenoiseRow, PassId, RenderRow, Segments, SequenceId};

use super::context::ContextPicture;
use super::{CandleRunner, model_error};
use crate::engine::runner::{PicturePreview, RenderedPicture, StepOutput};

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
        let Some(Pass { id, members, mut step }) = pass else { return Ok(()) };
        let mut left = stretch(group.segments);
        while left > 0 {
            left -= 1;
            match self.model.denoiser()?.advance_step(step)? {
                StepProgress::More(rest) => step = rest,
                StepProgress::Done(predictions) => {
                    for (index, member) in members.into_iter().enumerate() {
                        // Of those who left meanwhile nobody wants to know.
                        let Some(sequence) = self.sequences.get_mut(&member) else { continue };
                        let wish = sequence.request.pictures.progress;
                        let job = sequence.job.as_mut().expect("who joined has a job");
                        if let (Some(wish), Some(colors)) = (wish, &self.colors)
                            && wish.wants_preview(job.steps_done() + 1, job.total_steps())
                        {
                            let clean = job.predicted_clean(predictions.of(index));
                            let picture = Arc::new(colors.picture(&clean, job.latent_shape()));
                            output.previews.push(PicturePreview { sequence: member, picture });
                        }
                        if let Err(error) = job.take_step(predictions.of(index), &*self.noise) {
                            output.fail(member, model_error(error));
                        }
                    }
                    return Ok(());
                }
            }
        }
        self.resting.pass = Some(Pass { id, members, step });
        Ok(())
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
        let step = self.model.denoiser()?.begin_step(&jobs)?;
        Ok(Some(Pass { id: group.pass, members, step }))
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
