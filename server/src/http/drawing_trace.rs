//! Records of how an answer's pictures were drawn, as one safetensors file in base64. Knows how its tensors are called,
//! not what they mean.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_proto::DrawingTrace;
use safetensors::tensor::{Dtype, TensorView};

use super::error::ApiError;

/// The file of all pictures' records. Takes long where blocking is allowed.
pub(super) async fn drawing_trace(
    pictures: Arc<Vec<Vec<TensorRecord>>>,
) -> Result<DrawingTrace, ApiError> {
    let written = tokio::task::spawn_blocking(move || file(&pictures)).await;
    let refused = |error: &dyn std::error::Error| {
        tracing::error!(%error, "writing a trace failed");
        ApiError::internal()
    };
    let file = written.map_err(|error| refused(&error))?.map_err(|error| refused(&error))?;
    Ok(DrawingTrace { format: "safetensors".to_owned(), data: STANDARD.encode(file) })
}

fn file(pictures: &[Vec<TensorRecord>]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let numbered = (0..).zip(pictures).flat_map(|(index, records): (usize, _)| {
        records.iter().map(move |record| (format!("picture.{index}.{}", record.name), record))
    });
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = numbered
        .map(|(name, record)| {
            let bytes = record.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, record.shape.clone(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
    });
    safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)
}
