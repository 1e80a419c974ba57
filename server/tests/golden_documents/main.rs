//! The whole model behind the engine's contracts, against what the reference computed: documents token for
//! token, pictures within one 8-bit step, with the reference's own noise. Refuses to know HTTP.

mod documents;
mod goldens;
mod pictures;
mod questions;
