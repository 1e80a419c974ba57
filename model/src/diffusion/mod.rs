//! Pictures out: latents, denoised under a condition, decoded to pixels.

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
