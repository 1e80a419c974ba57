//! What DreamLLM computes: a tokenizer, a CLIP tower, a LLaMA decoder, dream queries, and a Stable
//! Diffusion UNet and VAE, as the reference implementation (`RunpeiDong/DreamLLM`, ICLR 2024) does.
//!
//! This crate knows no HTTP, no async and no scheduling: it is tensors, pictures and token ids.

<<<<<<< HEAD
pub mod beam_search;
=======
pub mod checkpoint;
>>>>>>> 75b48a680a8ad4c8eac5c954972e560fbb87858a
pub mod config;
pub mod decoder;
pub mod diffusion;
pub mod dream;
pub mod error;
pub mod noise;
pub mod picture;
<<<<<<< HEAD
pub mod token_sampler;
=======
pub mod picture_codec;
>>>>>>> 453e1874d1220fc3a26fa2db0ff52badab89bf48
pub mod tokenizer;

pub use config::DreamConfig;
pub use error::{CheckpointError, ModelError, PictureError};
pub use picture::Picture;
