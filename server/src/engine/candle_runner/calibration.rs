//! What the stages of a model cost here: real passes of each, timed by a clock that comes in. Knows stages
//! and their sizes; what is done with the numbers is the scheduler's.

use std::time::Duration;

use candle_core::Tensor;
use reverie_model::config::Ability;
use reverie_model::decoder::{DecoderRow, KvCache};
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::denoise_pass::{FinishProgress, StepProgress};
use reverie_model::diffusion::denoiser::{DenoiseJob, DenoiseParams, DenoiseRequest, Denoiser};
use reverie_model::noise::CounterNoise;
use reverie_model::{DreamModel, ModelError, Picture};
use reverie_scheduler::{CostModel, Nanos, SegmentCost};

use crate::engine::Clock;

/// A pass that takes so long is believed the first time; of shorter ones the median of [`NUM_PASSES`] counts,
/// a first one that fills the caches left out. So a small model is measured well and a large one soon.
const LONG: Duration = Duration::from_millis(250);
const NUM_PASSES: usize = 5;

/// Positions behind which a token is decoded.
const PAST: usize = 64;
/// Texts that go on in one pass, and positions of a prompt's chunk.
const MANY: usize = 16;
/// Pictures with guidance in a small pass of the denoiser, and in a larger one.
const PICTURES: (usize, usize) = (1, 2);

/// The costs of `model`, whose guidance moves away from `unconditional`.
pub(super) fn measure(
    model: &DreamModel,
    unconditional: Option<&Tensor>,
    clock: &Clock,
) -> Result<CostModel, ModelError> {
    let watch = Stopwatch { clock };
    let (decode_base, decode_position) = decoder(model, &watch)?;
    let mut cost = CostModel { decode_base, decode_position, ..CostModel::unmeasured() };
    if model.config.abilities.has(Ability::Comprehension) {
        let side = model.config.default_picture_side();
        let gray = Picture::new(side as u32, side as u32, vec![128; side * side * 3]);
        let encode = || model.image_block(&model.vision()?.encode(&[&gray])?[0]).map(drop);
        cost.encode_picture = watch.median(encode)?;
    }
    if let Some(condition) = unconditional {
        let pictures = Drawing { model, condition };
        cost.denoise = pictures.denoiser(&watch)?;
        cost.render = pictures.autoencoder(&watch)?;
    }
    Ok(cost)
}

/// What a pass costs, and each of its positions.
fn decoder(model: &DreamModel, watch: &Stopwatch<'_>) -> Result<(Nanos, Nanos), ModelError> {
    let bos = model.tokenizer.special().bos;
    let room = model.config.llama.max_position_embeddings;
    let (past, many) = (PAST.min(room / 2), MANY.min(room / 2));
    let mut context = model.decoder.new_cache();
    model.forward_one(&model.decoder.embed(&vec![bos; past])?, &mut context)?;
    let token = model.decoder.embed(&[bos])?;
    let texts = |count: usize| {
        let mut contexts: Vec<KvCache> = (0..count).map(|_| context.fork()).collect();
        let mut rows: Vec<_> =
            contexts.iter_mut().map(|cache| DecoderRow { embeds: &token, cache }).collect();
        let states = Tensor::cat(&model.decoder.forward(&mut rows)?, 0)?;
        model.decoder.logits(&states)?.to_vec2::<f32>()?;
        Ok(())
    };
    let chunk = model.decoder.embed(&vec![bos; many])?;
    let one = watch.median(|| texts(1))?;
    let together = watch.median(|| texts(many))?;
    let prompt = watch.median(|| model.forward_one(&chunk, &mut context.fork()).map(drop))?;
    let position = share(together.max(prompt).less(one), many - 1);
    Ok((one.less(position), position))
}

/// One of `count` equal parts.
fn share(time: Nanos, count: usize) -> Nanos {
    Nanos(time.0 / count.max(1) as u64)
}

/// Pictures of the model's own size.
struct Drawing<'a> {
    model: &'a DreamModel,
    condition: &'a Tensor,
}

impl Drawing<'_> {
    fn denoiser(&self, watch: &Stopwatch<'_>) -> Result<Vec<SegmentCost>, ModelError> {
        let denoiser = self.model.denoiser()?;
        let (few, more) = PICTURES;
        let small = watch.medians(|lap| step(denoiser, &self.jobs(few)?, lap))?;
        let (_, height, width) = self.job()?.latent_shape();
        let cells = |pictures: usize| 2 * pictures * height * width;
        let total = small.iter().fold(Nanos::ZERO, |sum, part| sum + *part);
        if total >= nanos(LONG) {
            let whole = |time: &Nanos| SegmentCost {
                base: Nanos::ZERO,
                per_cell: share(*time, cells(few)),
            };
            return Ok(small.iter().map(whole).collect());
        }
        let large = watch.medians(|lap| step(denoiser, &self.jobs(more)?, lap))?;
        let line = |(small, large): (&Nanos, &Nanos)| {
            let per_cell = share(large.less(*small), cells(more) - cells(few));
            SegmentCost { base: small.less(per_cell.times(cells(few))), per_cell }
        };
        Ok(small.iter().zip(&large).map(line).collect())
    }

    fn autoencoder(&self, watch: &Stopwatch<'_>) -> Result<Vec<SegmentCost>, ModelError> {
        let denoiser = self.model.denoiser()?;
        let mut job = self.job()?;
        denoiser.step(&mut [&mut job], &CounterNoise)?;
        let (_, height, width) = job.latent_shape();
        let times = watch.medians(|lap| {
            let mut pass = denoiser.begin_finish(&job)?;
            loop {
                let progress = denoiser.advance_finish(pass)?;
                lap();
                match progress {
                    FinishProgress::More(rest) => pass = rest,
                    FinishProgress::Done(_) => return Ok(()),
                }
            }
        })?;
        let cost = |time: &Nanos| SegmentCost {
            base: Nanos::ZERO,
            per_cell: share(*time, height * width),
        };
        Ok(times.iter().map(cost).collect())
    }

    fn jobs(&self, count: usize) -> Result<Vec<DenoiseJob>, ModelError> {
        (0..count).map(|_| self.job()).collect()
    }

    fn job(&self) -> Result<DenoiseJob, ModelError> {
        let side = self.model.config.default_picture_side();
        let params = DenoiseParams {
            sampler: SamplerKind::Ddpm,
            num_inference_steps: 1,
            guidance_scale: 2.0,
            guidance_rescale: 0.0,
            eta: 0.0,
            width: side,
            height: side,
        };
        let (condition, negative) = (self.condition.clone(), Some(self.condition.clone()));
        let request =
            DenoiseRequest { params, condition, negative, seed: 0, choice: 0, picture: 0 };
        self.model.denoiser()?.start(request, &CounterNoise)
    }
}

/// A whole step of `jobs`, of which nothing is kept.
fn step(denoiser: &Denoiser, jobs: &[DenoiseJob], lap: &mut dyn FnMut()) -> Result<(), ModelError> {
    let jobs: Vec<&DenoiseJob> = jobs.iter().collect();
    let mut pass = denoiser.begin_step(&jobs)?;
    loop {
        let progress = denoiser.advance_step(pass)?;
        lap();
        match progress {
            StepProgress::More(rest) => pass = rest,
            StepProgress::Done(_) => return Ok(()),
        }
    }
}

fn nanos(time: Duration) -> Nanos {
    Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Times passes by a clock.
struct Stopwatch<'a> {
    clock: &'a Clock,
}

impl Stopwatch<'_> {
    fn median(
        &self,
        mut pass: impl FnMut() -> Result<(), ModelError>,
    ) -> Result<Nanos, ModelError> {
        let whole = self.medians(|lap| {
            pass()?;
            lap();
            Ok(())
        })?;
        Ok(whole[0])
    }

    /// The median time of each part of a pass, which calls its argument after each of them.
    fn medians(
        &self,
        mut pass: impl FnMut(&mut dyn FnMut()) -> Result<(), ModelError>,
    ) -> Result<Vec<Nanos>, ModelError> {
        let mut time = || -> Result<Vec<Nanos>, ModelError> {
            let (mut parts, mut last) = (Vec::new(), (self.clock)());
            pass(&mut || {
                let now = (self.clock)();
                parts.push(nanos(now.saturating_duration_since(last)));
                last = now;
            })?;
            Ok(parts)
        };
        let first = time()?;
        if first.iter().fold(Nanos::ZERO, |sum, part| sum + *part) >= nanos(LONG) {
            return Ok(first);
        }
        let passes = (0..NUM_PASSES).map(|_| time()).collect::<Result<Vec<_>, _>>()?;
        let median = |part: usize| {
            let mut times: Vec<Nanos> = passes.iter().map(|pass| pass[part]).collect();
            times.sort_unstable();
            times[NUM_PASSES / 2]
        };
        Ok((0..first.len()).map(median).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    /// A clock that a pass moves on by itself.
    fn hand() -> (Clock, impl Fn(u64)) {
        let now = Arc::new(Mutex::new(Instant::now()));
        let hand = Arc::clone(&now);
        let clock: Clock = Arc::new(move || *now.lock().expect("no panic holds it"));
        let advance = move |millis: u64| {
            *hand.lock().expect("no panic holds it") += Duration::from_millis(millis);
        };
        (clock, advance)
    }

    #[test]
    fn each_part_has_its_median_and_the_first_pass_does_not_count() {
        let (clock, advance) = hand();
        let mut times = [[90, 90], [5, 20], [1, 30], [7, 10], [2, 40], [9, 15]].into_iter();
        let parts = Stopwatch { clock: &clock }.medians(|lap| {
            for millis in times.next().expect("six passes") {
                advance(millis);
                lap();
            }
            Ok(())
        });
        let wanted = [5, 20].map(|millis| nanos(Duration::from_millis(millis)));
        assert_eq!(parts.expect("no pass fails"), wanted);
    }

    #[test]
    fn a_long_pass_is_believed_the_first_time() {
        let (clock, advance) = hand();
        let mut passes = 0;
        let time = Stopwatch { clock: &clock }.median(|| {
            passes += 1;
            advance(2_000);
            Ok(())
        });
        assert_eq!((time.expect("no pass fails"), passes), (nanos(Duration::from_secs(2)), 1));
    }
}
