//! Pictures out: latents, denoised under a condition, decoded to pixels. Knows tensors, samplers and
//! noise by key; refuses to know prompts, tokens, requests and who waits for which picture.

use std::fmt;
use std::str::FromStr;

use crate::error::ModelError;

pub mod ddim;
pub mod ddpm;
pub mod denoise_pass;
pub mod denoiser;
pub mod dpm_solver;
pub mod euler;
pub mod euler_ancestral;
pub mod guidance;
pub mod latent_colors;
pub mod noise_schedule;
pub mod pndm;
pub mod probe;
mod resnet;
pub mod sampler;
pub mod trace;
pub mod unet;
pub mod unipc;
pub mod vae;

/// Which update rule turns a prediction into the next latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplerKind {
    /// Ancestral DDPM, the reference's default.
    Ddpm,
    /// DDIM, with eta.
    Ddim,
    /// PNDM (PLMS part only, `skip_prk_steps`).
    Pndm,
    /// DPM-Solver++ 2M.
    DpmSolverPlusPlus2M,
    /// DPM-Solver++ 2M with Karras sigmas.
    DpmSolverPlusPlus2MKarras,
    /// Euler.
    Euler,
    /// Euler ancestral.
    EulerAncestral,
    /// UniPC, bh2, order 2.
    UniPc,
}

impl SamplerKind {
    /// Every sampler, in the order in which they are listed to users.
    pub const ALL: [Self; 8] = [
        Self::Ddpm,
        Self::Ddim,
        Self::Pndm,
        Self::DpmSolverPlusPlus2M,
        Self::DpmSolverPlusPlus2MKarras,
        Self::Euler,
        Self::EulerAncestral,
        Self::UniPc,
    ];

    /// The name that requests and configuration use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "ddpm",
            Self::Ddim => "ddim",
            Self::Pndm => "pndm",
            Self::DpmSolverPlusPlus2M => "dpmpp_2m",
            Self::DpmSolverPlusPlus2MKarras => "dpmpp_2m_karras",
            Self::Euler => "euler",
            Self::EulerAncestral => "euler_ancestral",
            Self::UniPc => "unipc",
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for SamplerKind {
    type Err = ModelError;

    /// Reads a sampler's name.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] naming every sampler, for any other string.
    fn from_str(name: &str) -> Result<Self, ModelError> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            ModelError::Parameter {
                parameter: "sampler",
                found: name.to_owned(),
                wanted: format!("one of {}", Self::ALL.map(Self::name).join(", ")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_samplers_name_reads_back_as_the_same_sampler() {
        for kind in SamplerKind::ALL {
            assert_eq!(kind.to_string().parse::<SamplerKind>().unwrap(), kind);
        }
    }

    #[test]
    fn an_unknown_sampler_is_refused_with_the_names_that_exist() {
        let message = "heun".parse::<SamplerKind>().unwrap_err().to_string();
        assert!(message.starts_with("sampler is heun"), "{message}");
        for kind in SamplerKind::ALL {
            assert!(message.contains(kind.name()), "{message}");
        }
    }
}
