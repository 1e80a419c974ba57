//! Whole interleaved documents, driven along the recorded events: every choice of the decoder, every
//! picture from its recorded noise, and every picture fed back. The recorded 8-bit picture is what is
//! fed onward, so that a rounding tie in one stage does not colour the next.

use candle_core::{IndexOp, Tensor};
use serde_json::Value;

use super::Check;
use super::decoder::argmax;
use super::diffusion::{RecordedNoise, denoise};
use super::goldens::{
    Goldens, ParityError, Tensors, exact, floats, levels, module, module_tensor, trajectory,
};
use crate::decoder::{DecoderRow, KvCache};
use crate::diffusion::SamplerKind;
use crate::diffusion::denoiser::DenoiseParams;
use crate::dream::ContextPiece;
use crate::dream_model::DreamModel;
use crate::picture::Picture;
use crate::vision::preprocess;

const STAGE: &str = "interleaved";

pub(super) fn run(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let vectors = goldens.tensors("interleaved")?;
    let documents = goldens.json("interleaved")?;
    let negative = model.unconditional()?;
    for (index, document) in
        documents.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate()
    {
        let prompt = document["prompt"].as_str().unwrap_or_default();
        let wanted = vectors.ids(&format!("doc{index}.prompt_ids"))?;
        on_check(exact(
            STAGE,
            format!("doc{index}.prompt_ids"),
            &model.tokenizer.encode_with_control(prompt),
            &wanted,
        ));
        let mut replay =
            Replay { model, vectors: &vectors, negative: &negative, document: index, on_check };
        replay
            .run(&wanted, document["events"].as_array().map(Vec::as_slice).unwrap_or_default())?;
    }
    Ok(())
}

struct Replay<'a> {
    model: &'a DreamModel,
    vectors: &'a Tensors,
    negative: &'a Tensor,
    document: usize,
    on_check: &'a mut dyn FnMut(Check),
}

impl Replay<'_> {
    fn run(&mut self, prompt: &[u32], events: &[Value]) -> Result<(), ParityError> {
        let name = format!("doc{}", self.document);
        let mut cache = self.model.decoder.new_cache();
        let mut logits = self.feed(&[ContextPiece::Tokens(prompt)], &mut cache)?;
        let (mut chosen, mut wanted_ids, mut all_logits) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            let row = floats(&logits)?;
            chosen.push(argmax(&row));
            all_logits.extend(row);
            let special = self.model.tokenizer.special();
            if event["type"] == "image" {
                wanted_ids.push(special.dream_start);
                logits = self.picture(event, &mut cache)?;
            } else {
                let id =
                    event["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or(u32::MAX);
                wanted_ids.push(id);
                if id != special.eos {
                    logits = self.feed(&[ContextPiece::Tokens(&[id])], &mut cache)?;
                }
            }
        }
        (self.on_check)(exact(STAGE, format!("{name}.events"), &chosen, &wanted_ids));
        let wanted = self.vectors.floats(&format!("{name}.step_logits"))?;
        (self.on_check)(module(STAGE, format!("{name}.step_logits"), &all_logits, &wanted));
        Ok(())
    }

    /// Appends pieces to the context and returns the logits at its last position.
    fn feed(
        &self,
        pieces: &[ContextPiece<'_>],
        cache: &mut KvCache,
    ) -> Result<Tensor, ParityError> {
        let embeds = self.model.embed(pieces)?;
        let hidden =
            self.model.decoder.forward(&mut [DecoderRow { embeds: &embeds, cache }])?.remove(0);
        Ok(self.model.decoder.logits(&hidden.i(hidden.dim(0)? - 1..)?)?.i(0)?)
    }

    /// Dreams, denoises and feeds back one picture; returns the logits after it.
    fn picture(&mut self, event: &Value, cache: &mut KvCache) -> Result<Tensor, ParityError> {
        let name = format!("doc{}.image{}", self.document, event["index"]);
        let key = |what: &str| format!("{name}.{what}");
        let vectors = self.vectors;
        let hidden = self.model.dream(cache)?;
        let wanted = vectors.get(&key("dream_hidden"))?;
        (self.on_check)(module_tensor(STAGE, key("dream_hidden"), &hidden, wanted)?);

        let (_, _, latent_height, latent_width) = vectors.get(&key("latents"))?.dims4()?;
        let factor = self.model.config.picture_multiple();
        #[expect(clippy::cast_possible_truncation, reason = "a recorded guidance scale is small")]
        let params = DenoiseParams {
            sampler: SamplerKind::Ddpm,
            num_inference_steps: event["steps"]
                .as_u64()
                .and_then(|steps| usize::try_from(steps).ok())
                .unwrap_or(0),
            guidance_scale: event["guidance"].as_f64().unwrap_or(f64::NAN) as f32,
            guidance_rescale: 0.0,
            eta: 0.0,
            width: latent_width * factor,
            height: latent_height * factor,
        };
        let noise = RecordedNoise::new(
            vectors.floats(&key("latents"))?,
            Some(vectors.get(&key("noises"))?),
        )?;
        let condition = self.model.denoiser()?.condition(&hidden)?;
        let drawn = denoise(self.model, params, condition, self.negative.clone(), &noise)?;
        let wanted = vectors.floats(&key("trajectory"))?;
        (self.on_check)(trajectory(
            STAGE,
            key("trajectory"),
            &drawn.last_states(wanted.len()),
            &wanted,
        ));
        let wanted = vectors.floats(&key("image"))?;
        (self.on_check)(module(STAGE, key("image"), &drawn.unit_image()?, &wanted));
        let recorded = vectors.bytes(&key("image_u8"))?;
        (self.on_check)(levels(STAGE, key("image_u8"), drawn.picture.rgb(), &recorded));

        let picture = Picture::new(drawn.picture.width(), drawn.picture.height(), recorded);
        let pixels = preprocess(
            &picture,
            &self.model.config.vision.preprocess,
            self.model.decoder.device(),
        )?;
        let wanted = vectors.floats(&key("pixel_values"))?;
        (self.on_check)(module(STAGE, key("pixel_values"), &floats(&pixels)?, &wanted));
        let features = self.model.vision()?.encode_pixels(&pixels.unsqueeze(0)?)?.i(0)?;
        let wanted = vectors.get(&key("image_embeds"))?;
        (self.on_check)(module_tensor(STAGE, key("image_embeds"), &features, wanted)?);
        let logits = self.feed(&[ContextPiece::Picture(&features)], cache)?;
        let wanted = vectors.get(&key("next_logits"))?;
        (self.on_check)(module_tensor(STAGE, key("next_logits"), &logits, wanted)?);
        Ok(logits)
    }
}
