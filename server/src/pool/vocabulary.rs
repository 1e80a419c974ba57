//! Which values go between the front and its workers: one line for each type, a tag for each variant. Knows
//! no sockets.

use reverie_model::Picture;
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_model::picture_codec::PictureFormat;
use reverie_model::token_logprobs::{TokenLogprob, TokenLogprobs};
use reverie_scheduler::dispatcher::{JobFault, JobId, NumericsClass, Role};
use reverie_scheduler::{
    Budget, ContentHash, FinishReason, ImageChoice, SchedulerStats, TenantId, TokenId, Usage,
};

use super::wire::{
    Reader, Wire, WireError, put_blob, take_blob, wire_enum, wire_newtype, wire_struct,
};
use crate::config::EngineLimits;
use crate::engine::order::{Condition, Conditions, EngineMessage, EngineOrder, WrittenPiece};
use crate::engine::request::{
    EngineRequest, PictureParams, ProgressReports, PromptSegment, RequestIdentity, SamplingParams,
    StoppingParams, TokenBias, TraceWish,
};

/// Changes with every change of what goes over the wire; the build stands beside it.
pub const PROTOCOL: u32 = 8;

/// The first thing that a worker is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// [`PROTOCOL`] of the front.
    pub protocol: u32,
    /// Its version.
    pub build: String,
    /// Which model, and where it computes.
    pub model: WorkerModel,
    /// The engine's limits, as far as flags decide them.
    pub limits: EngineLimits,
    /// Workers between whom the memory of a device is divided.
    pub num_sharing: usize,
    /// Its part of the work.
    pub role: Role,
    /// The file through which workers on one CPU share packed weights.
    pub weight_arena: Option<String>,
}

/// A model as a worker's process finds it: in the words of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerModel {
    /// The checkpoint's folder.
    pub folder: String,
    /// As `--device` takes it.
    pub device: String,
    /// As `--dtype` takes it.
    pub dtype: String,
    /// As `--kernels` takes it.
    pub kernels: String,
    /// Positions of a context.
    pub max_model_len: usize,
}

/// What a worker says; the first of it says which build speaks.
#[derive(Debug, Clone)]
pub enum Speech {
    /// It is this build.
    Hello {
        /// [`PROTOCOL`] of the worker.
        protocol: u32,
        /// Its version.
        build: String,
    },
    /// The engine speaks.
    Engine(EngineMessage),
}

wire_newtype!(JobId, NumericsClass, ContentHash, TenantId, TokenId);
wire_struct!(Setup { protocol, build, model, limits, num_sharing, role, weight_arena });
wire_struct!(WorkerModel { folder, device, dtype, kernels, max_model_len });
wire_struct!(EngineLimits {
    max_num_seqs,
    max_num_batched_tokens,
    max_waiting,
    max_wait,
    kv_cache_bytes,
    max_token_gap,
    worker_timeout,
});
wire_struct!(Budget { max_model_len, dream_positions, image_positions });
wire_struct!(Condition { num_rows, num_columns, values });
wire_struct!(Conditions { positive, negative });
wire_struct!(RequestIdentity { fingerprint, idempotency_key, created });
wire_struct!(SamplingParams {
    temperature,
    top_p,
    top_k,
    min_p,
    presence_penalty,
    frequency_penalty,
    repetition_penalty,
    logit_bias,
    num_logprobs,
    seed,
    json_schema,
    num_beams,
});
wire_struct!(TokenBias { token, bias });
wire_struct!(TokenLogprobs { chosen, top });
wire_struct!(TokenLogprob { token, logprob });
wire_struct!(StoppingParams { max_tokens, min_tokens, ignore_eos, ends_with_images, stop });
wire_struct!(PictureParams {
    choice,
    max_images,
    width,
    height,
    num_inference_steps,
    guidance_scale,
    guidance_rescale,
    eta,
    negative_prompt,
    sampler,
    seed,
    format,
    progress,
    trace,
});
wire_struct!(ProgressReports { num_previews });
wire_struct!(TraceWish { max_bytes });
wire_struct!(TensorRecord { name, shape, values });
wire_struct!(EngineRequest {
    prompt,
    sampling,
    stopping,
    pictures,
    choice,
    deadline,
    tenant,
    priority,
    identity,
});
wire_struct!(Usage {
    prompt_positions,
    prompt_image_positions,
    prompt_cached_positions,
    prompt_images,
    text_tokens,
    image_positions,
    images,
    positions_used,
    positions_left,
    images_left,
});
wire_struct!(SchedulerStats {
    num_running,
    num_waiting,
    num_denoising,
    num_denoiser_members,
    kv_blocks,
    kv_blocks_used,
    kv_blocks_cached,
    prefix_cache_queries,
    prefix_cache_hits,
    num_preemptions,
    num_denoised_rows,
    num_denoiser_passes,
});
wire_enum!(Speech { 0 => Hello { protocol, build }, 1 => Engine(message) });
wire_enum!(Role { 0 => Decode, 1 => Denoise, 2 => Both });
wire_enum!(ImageChoice { 0 => Auto, 1 => None, 2 => Required, 3 => Exactly(count) });
wire_enum!(FinishReason {
    0 => EndOfText,
    1 => StopString,
    2 => MaxTokens,
    3 => MaxImages,
    4 => ContextFull,
});
wire_enum!(JobFault { 0 => NotFinite, 1 => NotComputed, 2 => Refused });
wire_enum!(PromptSegment { 0 => Tokens(ids), 1 => Picture(picture), 2 => Dream });
wire_enum!(WrittenPiece { 0 => Token(id), 1 => LastToken(id), 2 => Picture { picture, content } });
wire_enum!(EngineOrder {
    0 => Write { job, request, written },
    1 => Draw { job, request, picture, conditions },
    2 => Picture { job, picture, content },
    3 => Abort { job },
    4 => Shutdown,
});
wire_enum!(EngineMessage {
    0 => Ready { budget, max_jobs, kv_positions, class },
    1 => Heartbeat,
    11 => Stats(stats),
    2 => Produced { job, position, piece },
    12 => Judged { job, position, logprobs },
    3 => ImageStarted { job, position },
    4 => Denoised { job, step, num_steps, preview },
    13 => Traced { job, record },
    5 => NeedsPicture { job, position, cost, conditions },
    6 => Drawn { job, picture, content },
    7 => Ended { job, num_entries, reason, usage },
    8 => Failed { job, fault, cause },
    9 => Aborted { job },
});

impl Wire for std::time::Duration {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.as_secs().put(bytes);
        self.subsec_nanos().put(bytes);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (seconds, nanos) = (u64::take(reader)?, u32::take(reader)?);
        if nanos >= 1_000_000_000 {
            return Err(WireError::Invalid { wanted: "fraction of a second", found: nanos.into() });
        }
        Ok(Self::new(seconds, nanos))
    }
}

impl Wire for Picture {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.width().put(bytes);
        self.height().put(bytes);
        put_blob(self.rgb(), bytes);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (width, height, rgb) = (u32::take(reader)?, u32::take(reader)?, take_blob(reader)?);
        let wanted = u64::from(width).checked_mul(u64::from(height)).and_then(|n| n.checked_mul(3));
        if wanted != Some(rgb.len() as u64) || rgb.is_empty() {
            return Err(WireError::Invalid { wanted: "picture", found: rgb.len() as u64 });
        }
        Ok(Self::new(width, height, rgb))
    }
}

wire_enum!(PictureFormat { 0 => Png, 1 => Jpeg { quality }, 2 => Webp, 3 => LossyWebp { quality } });
wire_enum!(SamplerKind {
    0 => Ddpm,
    1 => Ddim,
    2 => Pndm,
    3 => DpmSolverPlusPlus2M,
    4 => DpmSolverPlusPlus2MKarras,
    5 => Euler,
    6 => EulerAncestral,
    7 => UniPc,
});
