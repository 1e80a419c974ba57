//! A plan's rows as batches: one pass of each stage for all of them. Knows sequences by their contents
//! only.

use candle_core::Tensor;
use reverie_model::ModelError;
use reverie_model::decoder::{DecoderRow, KvCache, KvPool};
use reverie_scheduler::{BlockId, Branch, DecodeRow, LegalTokens, SequenceId, StepPlan};

use super::beams::Beams;
use super::sequence::SequenceState;
use super::{CandleRunner, model_error};
use crate::engine::runner::{SampledToken, StepOutput};

/// A plan's row on its way through the decoder: more than one row there if it is a beam search.
struct Decoding<'a> {
    row: &'a DecodeRow,
    /// The row's KV blocks, as the pool counts them.
    blocks: Vec<u32>,
    embeds: Vec<Tensor>,
    caches: Vec<KvCache>,
}

/// A row whose next token is to be chosen.
struct Sampling<'a> {
    row: &'a DecodeRow,
    legal: LegalTokens,
    /// How many decoder rows it has.
    width: usize,
}

impl CandleRunner {
    /// Carries out a plan. Whoever fails alone is left out of everything that follows.
    pub(super) fn run(&mut self, plan: &StepPlan) -> Result<StepOutput, ModelError> {
        for id in &plan.preempted {
            if let Some(sequence) = self.sequences.get_mut(id) {
                sequence.forget_computed();
            }
        }
        let mut output = StepOutput::default();
        self.encode(&plan.encode, &mut output)?;
        self.decode(&plan.decode, &mut output)?;
        if let Some(group) = &plan.denoise {
            self.denoise(group, &mut output)?;
        }
        if let Some(row) = &plan.render {
            self.render(row, &mut output)?;
        }
        Ok(output)
    }

    pub(super) fn sequence(&mut self, id: SequenceId) -> &mut SequenceState {
        self.sequences.get_mut(&id).expect("rows are of open sequences")
    }

    /// All rows in one ragged decoder pass; then the choices of those that sample, in one pass of the head.
    fn decode(&mut self, rows: &[DecodeRow], output: &mut StepOutput) -> Result<(), ModelError> {
        let named = rows.iter().flat_map(|row| &row.blocks).map(|BlockId(block)| *block as usize);
        self.pool.hold(named.max().map_or(0, |last| last + 1))?;
        let mut decodings = Vec::with_capacity(rows.len());
        for row in rows {
            if output.has_failed(row.sequence) {
                continue;
            }
            match self.prepare(row) {
                Ok(decoding) => decodings.push(decoding),
                Err(error) => output.fail(row.sequence, model_error(error)),
            }
        }
        if decodings.is_empty() {
            return Ok(());
        }
        self.counters.decoder_passes += 1;
        let mut ragged: Vec<DecoderRow<'_>> = Vec::new();
        for decoding in &mut decodings {
            let pairs = decoding.embeds.iter().zip(&mut decoding.caches);
            ragged.extend(pairs.map(|(embeds, cache)| DecoderRow { embeds, cache }));
        }
        let mut hidden = self.model.decoder.forward(&mut ragged)?.into_iter();
        let (mut sampling, mut last_states) = (Vec::new(), Vec::new());
        for decoding in decodings {
            let row = decoding.row;
            let own: Vec<Tensor> = hidden.by_ref().take(decoding.embeds.len()).collect();
            let width = own.len();
            self.put_back(decoding);
            let mut states = own.iter();
            let finite = states.try_for_each(|own| ModelError::unless_all_finite("decoder", own));
            if let Err(error) = finite {
                output.fail(row.sequence, model_error(error));
                continue;
            }
            self.absorb(row, &own[0])?;
            let Some(legal) = row.sample else { continue };
            for hidden in &own {
                last_states.push(hidden.narrow(0, hidden.dim(0)? - 1, 1)?);
            }
            sampling.push(Sampling { row, legal, width });
        }
        self.sample(&sampling, &last_states, output)
    }

    /// Embeds a row's positions and borrows its blocks. If the pass fails, they are lost with it.
    fn prepare<'a>(&mut self, row: &'a DecodeRow) -> Result<Decoding<'a>, ModelError> {
        let sequence = self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
        let blocks: Vec<u32> = row.blocks.iter().map(|BlockId(block)| *block).collect();
        if let (Branch::Main, Some(beams)) = (row.branch, &mut sequence.beams) {
            let embeds = beams.embeds(&self.model)?;
            return Ok(Decoding { row, blocks, embeds, caches: std::mem::take(&mut beams.caches) });
        }
        let embeds = vec![sequence.context(row.branch).embeds(row, &self.model)?];
        let caches = vec![self.pool.lend(&blocks, row.start, row.num_positions())?];
        Ok(Decoding { row, blocks, embeds, caches })
    }

    fn put_back(&mut self, decoding: Decoding<'_>) {
        let Decoding { row, blocks, mut caches, .. } = decoding;
        let sequence = self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
        match (row.branch, &mut sequence.beams) {
            (Branch::Main, Some(beams)) => beams.caches = caches,
            (Branch::Main, None) | (Branch::Negative, _) => {
                self.pool.take_back(&blocks, row.start, caches.remove(0));
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

    /// Chooses a token for each row, given the last states (1, hidden) of its decoder rows.
    fn sample(
        &mut self,
        rows: &[Sampling<'_>],
        last_states: &[Tensor],
        output: &mut StepOutput,
    ) -> Result<(), ModelError> {
        if last_states.is_empty() {
            return Ok(());
        }
        let logits = self.model.decoder.logits(&Tensor::cat(last_states, 0)?)?; // (rows, vocab)
        let mut logits = logits.to_vec2::<f32>()?.into_iter();
        for Sampling { row, legal, width } in rows {
            let mut own: Vec<Vec<f32>> = logits.by_ref().take(*width).collect();
            let finite = own.iter().try_for_each(|row| ModelError::unless_finite("decoder", row));
            if let Err(error) = finite {
                output.fail(row.sequence, model_error(error));
                continue;
            }
            if self.sequences[&row.sequence].wants_beams() {
                self.begin_beams(row)?;
            }
            let special = *self.model.tokenizer.special();
            let sequence = self.sequence(row.sequence);
            let position = row.start + row.num_positions();
            let chosen =
                sequence.mask(*legal, &special).and_then(|mask| match &mut sequence.beams {
                    Some(beams) => Ok((beams.advance(&own, &mask, special.eos), None)),
                    None => sequence.choose(own.remove(0), position, &mask, &special),
                });
            match chosen {
                Ok((choice, logprobs)) => {
                    output.sampled.push(SampledToken { sequence: row.sequence, choice, logprobs });
                }
                Err(error) => output.fail(row.sequence, model_error(error)),
            }
        }
        Ok(())
    }

    /// A beam search behind the computed context of `row`. Its hypotheses part from one another within a
    /// block, so that each has blocks of its own; the pool's, which the sequence owns for them, are given
    /// away for these.
    fn begin_beams(&mut self, row: &DecodeRow) -> Result<(), ModelError> {
        let position = row.start + row.num_positions();
        let blocks: Vec<u32> = row.blocks.iter().map(|BlockId(block)| *block).collect();
        let prompt = self.pool.lend(&blocks, position, 0)?.fork();
        self.pool.release(&blocks[position / KvPool::BLOCK_SIZE..]);
        let room = self.max_model_len.saturating_sub(position);
        let sequence = self.sequences.get_mut(&row.sequence).expect("rows are of open sequences");
        sequence.beams = Some(Beams::begin(&sequence.request, prompt, room, &self.model)?);
        Ok(())
    }
}
