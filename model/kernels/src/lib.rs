//! CPU kernels on `f32` slices whose result for a row is the same bits whatever stands beside it: any
//! number of rows, any chunking of a prompt, any number of threads. Knows numbers and shapes, not models.
//!
//! How that holds: every output element is one chain of fused multiply-adds over its reduction in a fixed
//! order, cut into blocks of [`BLOCK`] that start at 0; vector lanes run over outputs, never over a
//! reduction; threads share out outputs. Where a reduction must run over lanes (norms, softmax) there are
//! always sixteen of them, whatever the machine has. Fused multiply-add, division and square root are
//! correctly rounded everywhere, so all instruction sets give the same bits too: one
//! [numerics class](NUMERICS_CLASS).

mod activation;
mod attention;
mod conv2d;
mod cpu;
mod group_norm;
mod isa;
mod key_value;
mod linear;
mod panels;
mod product;
mod rotary;
mod row_norm;
mod scratch;
mod shares;
mod softmax;

pub use activation::{Activation, activate, gated_gelu, gated_silu};
pub use attention::{CausalRow, HeadShape, causal_attention, full_attention};
pub use conv2d::{Conv2d, ConvGeometry, ConvSize, Padding, Plane};
pub use cpu::Cpu;
pub use group_norm::{GroupNorm, GroupNormShape};
pub use isa::Isa;
pub use key_value::{KeyValueBlock, KeyValueShape};
pub use linear::Linear;
pub use panels::{Line, SharedLines};
pub use product::{BLOCK, Store};
pub use rotary::rotate_half;
pub use row_norm::{LayerNorm, RmsNorm};
pub use shares::{compute_shares, deal};

/// The name of the numerics: equal names give equal bits.
pub const NUMERICS_CLASS: &str = "cpu-f32-fma";
