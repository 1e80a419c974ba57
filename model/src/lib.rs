//! What DreamLLM computes: a tokenizer, a CLIP tower, a LLaMA decoder, dream queries, and a Stable
//! Diffusion UNet and VAE, as the reference implementation (`RunpeiDong/DreamLLM`, ICLR 2024) does.
//!
//! This crate knows no HTTP, no async and no scheduling: it is tensors, pictures and token ids.

pub mod beam_search;
pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod diffusion;
pub mod digest;
pub mod dream;
pub mod dream_model;
pub mod error;
pub mod json_grammar;
pub mod kernels;
mod layers;
pub mod logit_adjustment;
pub mod noise;
pub mod parity;
pub mod picture;
pub mod picture_codec;
pub mod projector;
pub mod token_logprobs;
pub mod token_sampler;
pub mod tokenizer;
pub mod vision;
pub mod weight_arena;
pub mod weights;

pub use config::DreamConfig;
pub use dream_model::DreamModel;
pub use error::{CheckpointError, ModelError, PictureError};
pub use kernels::Kernels;
pub use picture::Picture;
pub use weight_arena::WeightArena;
pub use weights::Weights;
