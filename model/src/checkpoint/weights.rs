//! Hands tensors to candle's `VarBuilder`, one at a time: read from the mapped file, converted, moved.
//! Keeps no copies. Knows nothing of networks.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;

use super::stored_tensor::StoredTensor;

/// The tensors of a checkpoint as a `VarBuilder` backend.
pub(super) struct Weights {
    pub(super) tensors: Arc<BTreeMap<String, StoredTensor>>,
}

impl Weights {
    fn find(&self, name: &str) -> Result<&StoredTensor> {
        self.tensors.get(name).ok_or_else(|| Error::CannotFindTensor { path: name.to_owned() }.bt())
    }
}

impl SimpleBackend for Weights {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let stored = self.find(name)?;
        if shape.dims() != stored.shape {
            return Err(Error::UnexpectedShape {
                msg: format!("shape mismatch for {name}"),
                expected: shape,
                got: Shape::from(stored.shape.as_slice()),
            }
            .bt());
        }
        load(stored, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        load(self.find(name)?, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

fn load(stored: &StoredTensor, dtype: DType, device: &Device) -> Result<Tensor> {
    let tensor = {
        let bytes = stored.bytes();
        if has_non_finite(&bytes, stored.dtype) {
            tracing::warn!(tensor = %stored.name, "holds infinities or NaN; the file may be damaged");
        }
        Tensor::from_raw_buffer(&bytes, stored.dtype, &stored.shape, &Device::Cpu)?
    };
    stored.release();
    tensor.to_dtype(dtype)?.to_device(device)
}

/// Whether any element has all exponent bits set.
fn has_non_finite(bytes: &[u8], dtype: DType) -> bool {
    let narrow = |mask: u16| {
        bytes.as_chunks::<2>().0.iter().any(|element| u16::from_le_bytes(*element) & mask == mask)
    };
    match dtype {
        DType::BF16 => narrow(0x7f80),
        DType::F16 => narrow(0x7c00),
        DType::F32 => {
            bytes.as_chunks::<4>().0.iter().any(|element| !f32::from_le_bytes(*element).is_finite())
        }
        DType::F64 => {
            bytes.as_chunks::<8>().0.iter().any(|element| !f64::from_le_bytes(*element).is_finite())
        }
        _ => false,
    }
}
