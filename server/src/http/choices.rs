//! One request, several answers: each is a document of its own to the engine, with a place, draws and an end of
//! its own. If one fails, the request does, and the others are given up.

use tokio_stream::StreamMap;

use super::AppState;
use crate::engine::document_engine::{EventStream, SubmitError};
use crate::engine::event::Usage;
use crate::engine::request::EngineRequest;

/// The events of the answers to one request, by their choice.
pub(super) type ChoiceEvents = StreamMap<usize, EventStream>;

/// Submits as many documents as there are choices. If one finds no place, those before it are given up again.
pub(super) fn submit(
    state: &AppState,
    request: &EngineRequest,
    num_choices: usize,
) -> Result<ChoiceEvents, SubmitError> {
    let mut events = StreamMap::with_capacity(num_choices);
    for choice in 0..num_choices {
        let identity = request.identity.of_choice(choice as u32);
        let request = EngineRequest { choice: choice as u32, identity, ..request.clone() };
        events.insert(choice, state.engine.submit(request)?);
    }
    Ok(events)
}

/// When the first of them was asked for, seconds since 1970.
pub(super) fn created(events: &ChoiceEvents) -> u64 {
    events.values().map(EventStream::created).min().unwrap_or_default()
}

/// What the answers to one prompt took, by choice: the prompt counts once, answers all together, and the room that
/// is left is that of the longest.
pub(super) fn together(usages: &[Usage]) -> Usage {
    let prompt = usages.first().copied().unwrap_or_default();
    Usage {
        text_tokens: usages.iter().map(|usage| usage.text_tokens).sum(),
        image_positions: usages.iter().map(|usage| usage.image_positions).sum(),
        images: usages.iter().map(|usage| usage.images).sum(),
        positions_used: usages.iter().map(|usage| usage.positions_used).max().unwrap_or(0),
        positions_left: usages.iter().map(|usage| usage.positions_left).min().unwrap_or(0),
        images_left: usages.iter().map(|usage| usage.images_left).min().unwrap_or(0),
        ..prompt
    }
}

/// One value for each choice, as they come.
#[derive(Debug)]
pub(super) struct ByChoice<T>(Vec<Option<T>>);

impl<T> ByChoice<T> {
    /// Of `num_choices`, none of them there.
    pub(super) fn new(num_choices: usize) -> Self {
        Self((0..num_choices).map(|_| None).collect())
    }

    /// Takes in the value of `choice`. All of them, in order, once none is missing.
    pub(super) fn complete(&mut self, choice: usize, value: T) -> Option<Vec<T>> {
        if let Some(place) = self.0.get_mut(choice) {
            *place = Some(value);
        }
        if self.0.iter().any(Option::is_none) {
            return None;
        }
        std::mem::take(&mut self.0).into_iter().collect()
    }
}
