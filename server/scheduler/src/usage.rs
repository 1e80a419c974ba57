//! What a document took, counted in positions, tokens and pictures.

/// What a document took. A position is a place in the context, text or patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Positions of the prompt, pictures included.
    pub prompt_positions: usize,
    /// Positions of the prompt that picture blocks and dream blocks took.
    pub prompt_image_positions: usize,
    /// Positions of the prompt that were found computed when the document first got its place.
    pub prompt_cached_positions: usize,
    /// Pictures in the prompt.
    pub prompt_images: usize,
    /// Sampled tokens (text and `</s>`; `<dream_start>` counts as a picture's position).
    pub text_tokens: usize,
    /// Positions that drawn pictures took (dream block and picture block).
    pub image_positions: usize,
    /// Pictures drawn.
    pub images: usize,
    /// Positions of the context now used.
    pub positions_used: usize,
    /// Positions of the context still free.
    pub positions_left: usize,
    /// How many more pictures would fit.
    pub images_left: usize,
}
