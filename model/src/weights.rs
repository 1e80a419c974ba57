//! The tensors that a network is built from, whose kernels will compute with them, and where these keep what
//! they have packed. Knows names and shapes, not files.

use std::io;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};
use reverie_kernels::{Line, SharedLines};

use crate::kernels::Kernels;
use crate::weight_arena::WeightArena;

/// A corner of a checkpoint.
#[derive(Clone)]
pub struct Weights<'a> {
    tensors: VarBuilder<'a>,
    kernels: Kernels,
    arena: Option<Arc<WeightArena>>,
}

impl<'a> Weights<'a> {
    /// `tensors`, to be computed with by `kernels` where these can.
    pub fn new(tensors: VarBuilder<'a>, kernels: Kernels) -> Self {
        let kernels = kernels.on(tensors.device(), tensors.dtype());
        Self { tensors, kernels, arena: None }
    }

    /// To be kept, as far as our kernels pack them, in memory that is shared through `arena`.
    #[must_use]
    pub fn kept_in(self, arena: Option<Arc<WeightArena>>) -> Self {
        Self { arena, ..self }
    }

    /// The corner called `name` in this one.
    #[must_use]
    pub fn pp(&self, name: impl ToString) -> Self {
        Self { tensors: self.tensors.pp(name), ..self.clone() }
    }

    /// A tensor by its name here.
    ///
    /// # Errors
    /// If it is missing or has another shape.
    pub fn get(&self, shape: impl Into<Shape>, name: &str) -> Result<Tensor> {
        self.tensors.get(shape, name)
    }

    /// As [`get`](Self::get); ones where tensors are made up instead of read.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) fn get_scale(&self, shape: impl Into<Shape>, name: &str) -> Result<Tensor> {
        self.tensors.get_with_hints(shape, name, Init::Const(1.0))
    }

    /// The tensors themselves, for candle's layers.
    pub(crate) fn tensors(&self) -> VarBuilder<'a> {
        self.tensors.clone()
    }

    /// Whose kernels compute here: never ours where they cannot.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// What a packed layer of these weights is to use instead of its own lines, if they are shared.
    pub(crate) fn share(&self, lines: &[Line]) -> io::Result<Option<Arc<dyn SharedLines>>> {
        self.arena.as_ref().map(|arena| arena.keep(lines)).transpose()
    }

    /// Where the tensors are.
    pub fn device(&self) -> &Device {
        self.tensors.device()
    }

    /// Their precision.
    pub fn dtype(&self) -> DType {
        self.tensors.dtype()
    }
}

impl<'a> From<VarBuilder<'a>> for Weights<'a> {
    fn from(tensors: VarBuilder<'a>) -> Self {
        Self::new(tensors, Kernels::Reverie)
    }
}

impl<'a> From<&VarBuilder<'a>> for Weights<'a> {
    fn from(tensors: &VarBuilder<'a>) -> Self {
        tensors.clone().into()
    }
}

impl<'a> From<&Weights<'a>> for Weights<'a> {
    fn from(weights: &Weights<'a>) -> Self {
        weights.clone()
    }
}
