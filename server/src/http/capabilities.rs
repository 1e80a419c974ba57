//! `GET /v1/capabilities`: what this instance serves and what requests may ask for, so that a client need not find
//! out by being refused.

use axum::Json;
use axum::extract::State;
use reverie_proto::{
    Capabilities, CapabilityDefaults, CapabilityLimits, ContextPositions, ImageFormat, Sampler,
};

use reverie_proto::logit_bias::MAX_BIASED_TOKENS;

use super::AppState;
use super::models::abilities;
use crate::request::{Defaults, IGNORED, MAX_LOGPROBS, max_images};

/// Formats of pictures that are read, by their contents.
const READ_FORMATS: [&str; 4] = ["png", "jpeg", "webp", "gif"];

/// Everything a client may want to know before it asks.
pub(super) async fn capabilities(State(state): State<AppState>) -> Json<Capabilities> {
    let limits = &state.model.limits;
    let defaults = &limits.defaults;
    let ignored = IGNORED.iter().map(|(route, fields)| {
        ((*route).to_owned(), fields.iter().map(|field| (*field).to_owned()).collect())
    });
    Json(Capabilities {
        object: "capabilities".to_owned(),
        models: limits.model_names.clone(),
        abilities: abilities(&state.model),
        positions: ContextPositions {
            max_model_len: limits.max_model_len,
            image: limits.picture_positions,
            drawing: limits.dream_positions + limits.picture_positions,
        },
        limits: CapabilityLimits {
            max_body_bytes: state.settings.max_body_bytes,
            max_input_images: limits.max_input_images,
            max_image_urls: if limits.picture_urls.is_enabled() {
                limits.max_image_urls
            } else {
                0
            },
            max_image_bytes: limits.max_image_bytes,
            max_stored_bytes: state.store.limits().max_record_bytes(),
            stored_seconds: state.store.limits().max_age,
            max_image_pixels: limits.picture.max_pixels,
            max_images: max_images(limits),
            max_n: limits.max_choices,
            max_top_logprobs: MAX_LOGPROBS,
            max_logit_bias: MAX_BIASED_TOKENS,
            max_num_inference_steps: limits.max_num_inference_steps,
            min_side: *limits.side.start(),
            max_side: *limits.side.end(),
            side_multiple: limits.side_multiple,
            max_drawn_pixels: limits.max_drawn_pixels,
        },
        defaults: CapabilityDefaults {
            size: format!("{}x{}", defaults.width, defaults.height),
            sampler: defaults.sampler,
            num_inference_steps: defaults.num_inference_steps,
            guidance_scale: defaults.guidance_scale,
            guidance_rescale: Defaults::GUIDANCE_RESCALE,
            eta: Defaults::ETA,
            temperature: defaults.temperature,
            top_p: Defaults::TOP_P,
            top_k: Defaults::TOP_K,
            num_beams: Defaults::NUM_BEAMS,
        },
        samplers: Sampler::ALL.to_vec(),
        input_formats: READ_FORMATS.map(str::to_owned).to_vec(),
        output_formats: vec![ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Webp],
        ignored_parameters: ignored.collect(),
    })
}
