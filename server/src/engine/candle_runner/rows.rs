//! A plan's rows as batches: one pass of each stage for all of them. Knows sequences by their contents
//! only.

use std::sync::Arc;

use candle_core::Tensor;
use reverie_model::config::Ability;
use reverie_model::decoder::{DecoderRow, KvCache};
use reverie_model::diffusion::denoiser::DenoiseJob;
use reverie_model::picture_codec::{self, PictureFormat, PictureLimits};
use reverie_model::{ModelError, Picture};
use reverie_scheduler::{
    Branch, DecodeRow, DenoiseRow, EncodeRow, RenderRow, SequenceId, StepPlan,
};

use super::beams::Beams;
use super::context::ContextPicture;
use super::sequence::SequenceState;
use super::{CandleRunner, model_error};
use crate::engine::runner::{
    FailedSequence, RenderedPicture, SampledToken, StepOutput, TokenChoice,
};
use crate::engine::sequence_spec::content_hash;

/// A plan's row on its way through the decoder: more than one row there if it is a beam search.
struct Decoding<'a> {
    row: &'a DecodeRow,
    embeds: Vec<Tensor>,
    caches: Vec<KvCache>,
}

impl CandleRunner {
    /// Carries out a plan.
    pub(super) fn run(&mut self, plan: &StepPlan) -> Result<StepOutput, ModelError> {
        for id in &plan.preempted {
            if let Some(sequence) = self.sequences.get_mut(id) {
                sequence.forget_computed(&self.model);
            }
        }
        self.encode(&plan.encode)?;
        let mut output = self.decode(&plan.decode)?;
        if let Some(group) = &plan.denoise {
            assert!(group.segments.is_last(), "passes are not split: they were not measured");
            self.denoise(&group.members)?;
        }
        if let Some(row) = plan.render {
            output.rendered.push(self.render(row)?);
        }
        Ok(output)
    }

    fn sequence(&mut self, id: SequenceId) -> &mut SequenceState {
        self.sequences.get_mut(&id).expect("rows are of open sequences")
    }

    /// Pictures to blocks. Equal pictures of a request are encoded once.
    fn encode(&mut self, rows: &[EncodeRow]) -> Result<(), ModelError> {
        let mut new: Vec<(SequenceId, Arc<Picture>)> = Vec::new();
        for row in rows {
            let picture = self.picture(row);
            let is_known = new.iter().any(|(id, known)| *id == row.sequence && *known == picture);
            if !is_known && self.known_block(row.sequence, &picture).is_none() {
                new.push((row.sequence, picture));
            }
        }
        self.counters.encoded_pictures += new.len() as u64;
        let pictures: Vec<&Picture> = new.iter().map(|(_, picture)| &**picture).collect();
        let features = if pictures.is_empty() {
            Vec::new()
        } else {
            self.model.vision()?.encode(&pictures)?
        };
        let blocks = features
            .iter()
            .map(|features| self.model.image_block(features))
            .collect::<Result<Vec<Tensor>, ModelError>>()?;
        for row in rows {
            let picture = self.picture(row);
            let place = new.iter().position(|(id, known)| *id == row.sequence && *known == picture);
            let block = match place {
                Some(place) => blocks[place].clone(),
                None => self.known_block(row.sequence, &picture).expect("encoded before or now"),
            };
            self.sequence(row.sequence).context_mut(row.branch).pictures[row.picture].block =
                Some(block);
        }
        Ok(())
    }

    fn picture(&self, row: &EncodeRow) -> Arc<Picture> {
        let sequence = &self.sequences[&row.sequence];
        Arc::clone(&sequence.context(row.branch).pictures[row.picture].picture)
    }

    fn known_block(&self, id: SequenceId, picture: &Picture) -> Option<Tensor> {
        let sequence = &self.sequences[&id];
        let negative = sequence.negative.as_ref();
        let known = sequence.main.block_of(picture);
        known.or_else(|| negative.and_then(|context| context.block_of(picture))).cloned()
    }

    /// All rows in one ragged decoder pass; then the choices of those that sample, in one pass of the head.
    fn decode(&mut self, rows: &[DecodeRow]) -> Result<StepOutput, ModelError> {
        if rows.is_empty() {
            return Ok(StepOutput::default());
        }
        self.counters.decoder_passes += 1;
        let mut decodings =
            rows.iter().map(|row| self.prepare(row)).collect::<Result<Vec<_>, ModelError>>()?;
        let mut ragged: Vec<DecoderRow<'_>> = Vec::new();
        for decoding in &mut decodings {
            let pairs = decoding.embeds.iter().zip(&mut decoding.caches);
            ragged.extend(pairs.map(|(embeds, cache)| DecoderRow { embeds, cache }));
        }
        let mut hidden = self.model.decoder.forward(&mut ragged)?.into_iter();
        let mut last_states = Vec::new();
        for decoding in decodings {
            let row = decoding.row;
            let own: Vec<Tensor> = hidden.by_ref().take(decoding.embeds.len()).collect();
            self.put_back(row, decoding.caches);
            self.absorb(row, &own[0])?;
            if row.sample.is_some() {
                for hidden in &own {
                    last_states.push(hidden.narrow(0, hidden.dim(0)? - 1, 1)?);
                }
            }
        }
        self.sample(rows, &last_states)
    }

    /// Takes a row's caches out of its sequence. If the pass fails, they are lost with it.
    fn prepare<'a>(&mut self, row: &'a DecodeRow) -> Result<Decoding<'a>, ModelError> {
        let sequence = self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
        if let (Branch::Main, Some(beams)) = (row.branch, &mut sequence.beams) {
            let embeds = beams.embeds(&self.model)?;
            return Ok(Decoding { row, embeds, caches: std::mem::take(&mut beams.caches) });
        }
        let context = sequence.context_mut(row.branch);
        let embeds = vec![context.embeds(row, &self.model)?];
        let cache = std::mem::replace(&mut context.cache, self.model.decoder.new_cache());
        assert_eq!(cache.len(), row.start, "a row starts where its cache ends");
        Ok(Decoding { row, embeds, caches: vec![cache] })
    }

    fn put_back(&mut self, row: &DecodeRow, mut caches: Vec<KvCache>) {
        let sequence = self.sequence(row.sequence);
        match (row.branch, &mut sequence.beams) {
            (Branch::Main, Some(beams)) => beams.caches = caches,
            (Branch::Main, None) | (Branch::Negative, _) => {
                sequence.context_mut(row.branch).cache = caches.remove(0);
            }
        }
    }

    fn absorb(&mut self, row: &DecodeRow, hidden: &Tensor) -> Result<(), ModelError> {
        let sequence = self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
        let context = sequence.context_mut(row.branch);
        if let Some(condition) = context.absorb(row, hidden, &self.model)? {
            sequence.keep_condition(row.branch, condition);
        }
        Ok(())
    }

    /// Chooses a token for each row that samples, given the last states (1, hidden) of its decoder rows.
    fn sample(
        &mut self,
        rows: &[DecodeRow],
        last_states: &[Tensor],
    ) -> Result<StepOutput, ModelError> {
        let mut output = StepOutput::default();
        if last_states.is_empty() {
            return Ok(output);
        }
        let logits = self.model.decoder.logits(&Tensor::cat(last_states, 0)?)?; // (rows, vocab)
        let logits = logits.to_vec2::<f32>()?;
        let mut logits = logits.into_iter();
        for row in rows {
            let Some(legal) = row.sample else { continue };
            let special = *self.model.tokenizer.special();
            let position = row.start + row.num_positions();
            let sequence =
                self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
            if sequence.request.sampling.num_beams > 1 && sequence.beams.is_none() {
                let (request, cache) = (&sequence.request, &sequence.main.cache);
                let room = self.max_model_len.saturating_sub(position);
                sequence.beams = Some(Beams::begin(request, cache, room, &self.model)?);
            }
            let num_rows = sequence.beams.as_ref().map_or(1, |beams| beams.caches.len());
            let mut own: Vec<Vec<f32>> = logits.by_ref().take(num_rows).collect();
            let finite = own.iter().try_for_each(|row| ModelError::unless_finite("decoder", row));
            if let Err(error) = finite {
                let (sequence, error) = (row.sequence, model_error(error));
                output.failed.push(FailedSequence { sequence, error });
                continue;
            }
            let mask = sequence.mask(legal, &special);
            let choice: TokenChoice = match &mut sequence.beams {
                Some(beams) => beams.advance(&own, &mask, special.eos),
                None => sequence.choose(own.remove(0), position, &mask, &special),
            };
            output.sampled.push(SampledToken { sequence: row.sequence, choice });
        }
        Ok(output)
    }

    /// One denoising step of every row, in one UNet pass.
    fn denoise(&mut self, rows: &[DenoiseRow]) -> Result<(), ModelError> {
        self.counters.denoiser_passes += 1;
        let mut jobs: Vec<DenoiseJob> = Vec::with_capacity(rows.len());
        for row in rows {
            let sequence =
                self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
            let job = match sequence.job.take() {
                Some(job) => job,
                None => {
                    let untrained = ModelError::Untrained { ability: Ability::Creation };
                    let unconditional = self.unconditional.as_ref().ok_or(untrained)?;
                    let request = sequence.denoise_request(row.picture, unconditional);
                    self.model.denoiser()?.start(request, &*self.noise)?
                }
            };
            assert_eq!(job.steps_done(), row.step, "denoising steps follow one another");
            jobs.push(job);
        }
        let mut together: Vec<&mut DenoiseJob> = jobs.iter_mut().collect();
        self.model.denoiser()?.step(&mut together, &*self.noise)?;
        for (row, job) in rows.iter().zip(jobs) {
            self.sequence(row.sequence).job = Some(job);
        }
        Ok(())
    }

    /// Latents to a picture. What is fed back is what decoding the delivered file yields.
    fn render(&mut self, row: RenderRow) -> Result<RenderedPicture, ModelError> {
        let job = self.sequence(row.sequence).job.take();
        let job = job.expect("a picture is denoised before it is rendered");
        let picture = Arc::new(self.model.denoiser()?.finish(&job)?);
        let state = self.sequence(row.sequence);
        let seen = as_delivered(&picture, state.request.pictures.format)?;
        let content = content_hash(&seen);
        state.main.pictures.push(ContextPicture::new(seen));
        Ok(RenderedPicture { sequence: row.sequence, picture, content })
    }
}

/// The picture as whoever opens the delivered file sees it. Files with notes hold the same pixels.
pub(super) fn as_delivered(
    picture: &Arc<Picture>,
    format: PictureFormat,
) -> Result<Arc<Picture>, ModelError> {
    match format {
        PictureFormat::Png | PictureFormat::Webp => Ok(Arc::clone(picture)),
        PictureFormat::Jpeg { .. } => {
            let unlimited = PictureLimits {
                max_pixels: u64::MAX,
                max_side: u32::MAX,
                max_aspect_ratio: u32::MAX,
            };
            let file = picture_codec::encode(picture, format, &[]);
            let seen = file.and_then(|file| picture_codec::decode(&file, &unlimited));
            seen.map(Arc::new).map_err(|error| ModelError::Parameter {
                parameter: "image_format",
                found: error.to_string(),
                wanted: "a format that holds the picture".to_owned(),
            })
        }
    }
}
