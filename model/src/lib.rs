//! What DreamLLM computes: a tokenizer, a CLIP tower, a LLaMA decoder, dream queries, and a Stable
//! Diffusion UNet and VAE, as the reference implementation (`RunpeiDong/DreamLLM`, ICLR 2024) does.
//!
//! This crate knows no HTTP, no async and no scheduling: it is tensors, pictures and token ids.

<<<<<<< HEAD
<<<<<<< HEAD
pub mod beam_search;
=======
pub mod checkpoint;
>>>>>>> 75b48a680a8ad4c8eac5c954972e560fbb87858a
=======
pub mod beam_search;
pub mod checkpoint;
>>>>>>> 9e30b1fad55be9adb7252a39f09b3b974dab7359
pub mod config;
pub mod decoder;
pub mod diffusion;
pub mod dream;
pub mod dream_model;
pub mod error;
pub mod noise;
pub mod picture;
<<<<<<< HEAD
<<<<<<< HEAD
pub mod token_sampler;
=======
pub mod picture_codec;
>>>>>>> 453e1874d1220fc3a26fa2db0ff52badab89bf48
=======
pub mod picture_codec;
pub mod token_sampler;
>>>>>>> 9e30b1fad55be9adb7252a39f09b3b974dab7359
pub mod tokenizer;

pub use config::DreamConfig;
pub use dream_model::DreamModel;
pub use error::{CheckpointError, ModelError, PictureError};
pub use picture::Picture;
