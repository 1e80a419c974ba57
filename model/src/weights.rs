//! The tensors that a network is built from, and whose kernels will compute with them. Knows names and
//! shapes, not files.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::kernels::Kernels;

/// A corner of a checkpoint.
#[derive(Clone)]
pub struct Weights<'a> {
    tensors: VarBuilder<'a>,
    kernels: Kernels,
}

impl<'a> Weights<'a> {
    /// `tensors`, to be computed with by `kernels` where these can.
    pub fn new(tensors: VarBuilder<'a>, kernels: Kernels) -> Self {
        let kernels = kernels.on(tensors.device(), tensors.dtype());
        Self { tensors, kernels }
    }

    /// The corner called `name` in this one.
    #[must_use]
    pub fn pp(&self, name: impl ToString) -> Self {
        Self { tensors: self.tensors.pp(name), kernels: self.kernels }
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
