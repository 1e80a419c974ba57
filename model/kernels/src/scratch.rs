//! Memory that a thread keeps between calls, so that small kernels allocate nothing. Contents carry no
//! meaning from one call to the next.

use std::cell::RefCell;

use crate::panels::Line;
use crate::product::Tile;

/// What one call of a kernel needs beside its arguments.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Left-hand rows, packed.
    pub(crate) tiles: Vec<Tile>,
    /// Keys and values of one head, packed.
    pub(crate) lines: Vec<Line>,
    /// Scores of one tile of queries, then its result.
    pub(crate) scores: Vec<f32>,
    /// Weights of one tile of queries, packed.
    pub(crate) weights: Vec<Tile>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// Lends this thread's scratch to `work`, which must not hand work to other threads meanwhile: what it
    /// waited for could be another kernel on this thread.
    pub(crate) fn lend<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        SCRATCH.with_borrow_mut(work)
    }
}

/// The first `len` of a buffer that grows as needed; what they hold is arbitrary.
pub(crate) fn at_least<T: Copy>(buffer: &mut Vec<T>, len: usize, filler: T) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, filler);
    }
    &mut buffer[..len]
}
