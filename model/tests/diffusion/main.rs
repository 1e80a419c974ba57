//! Diffusion against the reference's recorded tensors: samplers, UNet, VAE and whole trajectories.
//! Knows the golden vectors' layout; computes nothing of its own.

mod goldens;

mod denoiser;
mod samplers;
mod unet;
mod vae;
