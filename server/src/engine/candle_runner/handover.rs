//! What goes from one runner to another: the written beginning of an answer, and the conditions of pictures
//! that are drawn elsewhere. Knows tensors and pieces, no plans.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use reverie_model::ModelError;
use reverie_model::config::Ability;
use reverie_scheduler::{DrawingSpec, SequenceId};

use super::CandleRunner;
use super::context::ContextPicture;
use super::sequence::SequenceState;
use crate::engine::order::{Condition, Conditions, WrittenPiece};
use crate::engine::request::EngineRequest;

impl CandleRunner {
    /// The pieces follow the prompt.
    pub(super) fn append(
        &mut self,
        id: SequenceId,
        written: &[WrittenPiece],
    ) -> Result<(), ModelError> {
        let state = self.sequences.get_mut(&id).expect("a sequence is opened before it is resumed");
        let format = state.request.pictures.format;
        for piece in written {
            match piece {
                WrittenPiece::Token(token) | WrittenPiece::LastToken(token) => {
                    state.push_token(*token)?;
                }
                WrittenPiece::Picture { picture, .. } => {
                    state.main.pictures.push(ContextPicture::drawn(picture, format)?);
                }
            }
        }
        Ok(())
    }

    /// A sequence without a context that has everything its picture is drawn from.
    pub(super) fn prepare_picture(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
        conditions: &Conditions,
    ) -> Result<DrawingSpec, ModelError> {
        let untrained = ModelError::Untrained { ability: Ability::Creation };
        let like = self.unconditional.as_ref().ok_or(untrained)?;
        let mut state = SequenceState::new(Arc::clone(request), &self.model)?;
        state.condition = Some(tensor(&conditions.positive, like)?);
        state.negative_condition =
            conditions.negative.as_ref().map(|negative| tensor(negative, like)).transpose()?;
        let drawing = state.drawing();
        self.sequences.insert(id, state);
        Ok(drawing)
    }

    /// The conditions of the picture that a sequence is about to draw.
    pub(super) fn give_conditions(&mut self, id: SequenceId) -> Result<Conditions, ModelError> {
        let state = self.sequences.get_mut(&id).expect("only open sequences draw");
        let positive = state.condition.take();
        let positive = positive.expect("a dream block is computed before its picture");
        let negative = state.negative_condition.as_ref().map(numbers).transpose()?;
        Ok(Conditions { positive: numbers(&positive)?, negative })
    }
}

/// Every format in use is a part of f32: nothing is lost on the way.
fn numbers(tensor: &Tensor) -> Result<Condition, ModelError> {
    let (num_rows, num_columns) = tensor.dims2()?;
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(Condition { num_rows, num_columns, values })
}

/// In the format and on the device of `like`, whose shape it must have.
fn tensor(condition: &Condition, like: &Tensor) -> Result<Tensor, ModelError> {
    let Condition { num_rows, num_columns, values } = condition;
    if like.dims() != [*num_rows, *num_columns] {
        return Err(ModelError::Parameter {
            parameter: "condition",
            found: format!("{num_rows} by {num_columns}"),
            wanted: format!("{:?}", like.dims()),
        });
    }
    let tensor = Tensor::from_slice(values, (*num_rows, *num_columns), like.device())?;
    Ok(tensor.to_dtype(like.dtype())?)
}
