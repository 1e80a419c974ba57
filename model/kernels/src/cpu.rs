//! What a kernel may use of the processor: an instruction set and a number of threads. Neither changes a
//! bit of any result.

use crate::isa::Isa;
use crate::shares;

/// Multiply-adds below which handing work to other threads costs more than it saves.
const SERIAL_BELOW: usize = 4 << 20;

/// Instructions and threads for one call.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// Which instructions.
    pub isa: Isa,
    /// Into how many parts large work is cut; the parts run on rayon's current pool.
    pub threads: usize,
}

impl Cpu {
    /// The widest instructions of this machine, and as many parts as the current pool has threads; one where
    /// the others compute shares of their own.
    pub fn detect() -> Self {
        let threads = if shares::has_share() { 1 } else { rayon::current_num_threads() };
        Self { isa: Isa::detect(), threads }
    }

    /// Into how many parts work of `multiply_adds` is worth cutting.
    pub(crate) fn parts(self, multiply_adds: usize) -> usize {
        if multiply_adds < SERIAL_BELOW { 1 } else { self.threads.max(1) }
    }
}
