//! The responses that a response goes on from. Knows the store and how much is read of a conversation, not what becomes of
//! it.

use reverie_proto::message::MAX_MESSAGES;
use reverie_proto::{InputItem, InputPart, OutputItem, Role};

use super::conversation::speaker;
use super::response_context::KeptItems;
use super::stored_response::{StoredResponse, output_id};
use super::{Limits, RequestError, Speaker};

/// The parameter that names what came before.
pub(super) const PREVIOUS: &str = "previous_response_id";

/// A response of a chain.
pub(super) enum Before {
    Read(Box<StoredResponse>),
    /// Only its items' names are of use.
    Dropped(Vec<DroppedItem>),
}

/// An item of which nothing is read, unless the system says it.
pub(super) struct DroppedItem {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) of_system: Option<InputItem>,
}

impl Before {
    fn dropped(stored: StoredResponse) -> Self {
        let asked = stored.input.into_iter().filter_map(|item| {
            let name = item.id()?.to_owned();
            let role = match &item {
                InputItem::Message { role, .. } => *role,
                InputItem::ImageGenerationCall { .. } | InputItem::Reference { .. } => {
                    Role::Assistant
                }
            };
            let of_system = (speaker(role) == Speaker::System).then_some(item);
            Some(DroppedItem { role, name, of_system })
        });
        let answered = stored.response.output.iter().map(|item| DroppedItem {
            role: Role::Assistant,
            name: output_id(item).to_owned(),
            of_system: None,
        });
        Self::Dropped(asked.chain(answered).collect())
    }
}

/// The response `previous` and those before it, the oldest first. Of those that lie beyond the pictures that are read of
/// a conversation only names are kept, where they may be dropped.
pub(super) fn chain(
    previous: &str,
    kept: &dyn KeptItems,
    may_drop_turns: bool,
    limits: &Limits,
) -> Result<Vec<Before>, RequestError> {
    let mut chain: Vec<Before> = Vec::new();
    let mut next = Some(previous.to_owned());
    let mut num_pictures = 0;
    while let Some(id) = next.take() {
        let missing = || RequestError::NoPreviousResponse { id: id.clone() };
        let stored = match id.parse() {
            Ok(id) => kept.response(id)?.ok_or_else(missing)?,
            Err(_not_an_id) => return Err(missing()),
        };
        // What is held meanwhile stays in proportion to what can be read.
        let is_beyond = num_pictures > limits.max_input_images;
        num_pictures += num_pictures_of(&stored);
        let too_many = num_pictures > limits.max_input_images && !may_drop_turns;
        if too_many || chain.len() == MAX_MESSAGES {
            let (param, limit) = (PREVIOUS.to_owned(), limits.max_input_images);
            return Err(RequestError::TooManyPictures { param, limit });
        }
        next.clone_from(&stored.response.previous_response_id);
        chain.push(if is_beyond {
            Before::dropped(stored)
        } else {
            Before::Read(Box::new(stored))
        });
    }
    chain.reverse();
    Ok(chain)
}

/// Pictures that it holds itself.
fn num_pictures_of(stored: &StoredResponse) -> usize {
    let is_drawn = |item: &&OutputItem| match item {
        OutputItem::Message { .. } => false,
        OutputItem::ImageGenerationCall { .. } => true,
    };
    let shown = stored.input.iter().map(|item| match item {
        InputItem::Message { content, .. } => {
            content.iter().filter(|part| is_picture(part)).count()
        }
        InputItem::ImageGenerationCall { .. } => 1,
        InputItem::Reference { .. } => 0,
    });
    shown.sum::<usize>() + stored.response.output.iter().filter(is_drawn).count()
}

fn is_picture(part: &InputPart) -> bool {
    match part {
        InputPart::InputText(_) | InputPart::OutputText(_) => false,
        InputPart::ImageUrl(_) | InputPart::ImageFile(_) => true,
    }
}
