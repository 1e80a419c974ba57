//! What a request may ask of a model that can only read or only draw. A parameter that could not be
//! followed is an error with its name; nothing is dropped in silence.

use reverie_model::config::{Abilities, Ability};
use reverie_proto::response_format::ResponseFormatType;
use reverie_proto::{ChatCompletionRequest, Content, ContentPart, ImageChoice, Modality, Role};

use super::{Limits, PromptForm, RequestError, conversation};
use crate::engine::request::StoppingParams;
use crate::template::TextToImage;

/// Pictures in an answer of a model that only draws: pictures are not fed back to it, so a second one
/// would not know the first.
const MAX_IMAGES_UNREAD: usize = 1;

/// Pictures in an answer at most. A request may allow more, as flags do: that leaves fewer possible.
pub(crate) fn max_images(limits: &Limits) -> usize {
    match limits.abilities {
        Abilities::Both | Abilities::ComprehensionOnly => limits.max_images,
        Abilities::CreationOnly => limits.max_images.min(MAX_IMAGES_UNREAD),
    }
}

/// Refuses what the model was not trained for.
pub(super) fn check(request: &ChatCompletionRequest, limits: &Limits) -> Result<(), RequestError> {
    match limits.abilities {
        Abilities::Both => Ok(()),
        Abilities::ComprehensionOnly => check_for_reader(request),
        Abilities::CreationOnly => {
            check_for_drawer(request)?;
            match prompt_form(limits) {
                PromptForm::Conversation | PromptForm::Verbatim => Ok(()),
                PromptForm::Caption => check_for_caption(request),
            }
        }
    }
}

/// Who decides that a picture is drawn, once [`check`] has passed.
pub(super) fn wish(wish: ImageChoice, abilities: Abilities) -> ImageChoice {
    match (abilities, wish) {
        (Abilities::Both, wish) => wish,
        (Abilities::ComprehensionOnly, _) => ImageChoice::None,
        (Abilities::CreationOnly, ImageChoice::Exactly(count)) => ImageChoice::Exactly(count),
        (Abilities::CreationOnly, _) => ImageChoice::Exactly(1),
    }
}

/// When the text ends: a model that only draws writes none.
pub(super) fn stopping(asked: StoppingParams, abilities: Abilities) -> StoppingParams {
    match abilities {
        Abilities::Both | Abilities::ComprehensionOnly => asked,
        Abilities::CreationOnly => StoppingParams { max_tokens: Some(0), ..asked },
    }
}

/// How the conversation is written down.
pub(super) fn prompt_form(limits: &Limits) -> PromptForm {
    match (limits.abilities, limits.text_to_image) {
        (Abilities::CreationOnly, TextToImage::Raw) => PromptForm::Caption,
        (Abilities::CreationOnly, TextToImage::Chat)
        | (Abilities::Both | Abilities::ComprehensionOnly, _) => PromptForm::Conversation,
    }
}

fn check_for_reader(request: &ChatCompletionRequest) -> Result<(), RequestError> {
    let untrained =
        |param: String| Err(RequestError::Untrained { param, ability: Ability::Creation });
    if asks_for(request, Modality::Image) {
        return untrained("modalities".to_owned());
    }
    match request.image_choice {
        Some(ImageChoice::Required | ImageChoice::Exactly(_)) => {
            return untrained("image_choice".to_owned());
        }
        Some(ImageChoice::Auto | ImageChoice::None) | None => {}
    }
    // The assistant's own pictures stand behind dream queries, which this model lacks.
    first_picture(request, |role| role == Role::Assistant).map_or(Ok(()), untrained)
}

fn check_for_drawer(request: &ChatCompletionRequest) -> Result<(), RequestError> {
    let asks_for_text = [
        ("modalities", asks_for(request, Modality::Text)),
        ("image_choice", request.image_choice == Some(ImageChoice::None)),
        ("max_images", request.max_images == Some(0)),
        ("num_beams", request.num_beams.is_some_and(|num_beams| num_beams > 1)),
        ("min_tokens", request.min_tokens.is_some_and(|min_tokens| min_tokens > 0)),
        ("ignore_eos", request.ignore_eos == Some(true)),
        ("response_format", asks_for_json(request)),
    ];
    let first = asks_for_text.into_iter().find(|(_, asked)| *asked);
    let param = first.map(|(param, _)| param.to_owned());
    match param.or_else(|| first_picture(request, |_| true)) {
        Some(param) => Err(RequestError::Untrained { param, ability: Ability::Comprehension }),
        None => Ok(()),
    }
}

/// A caption has no speakers.
fn check_for_caption(request: &ChatCompletionRequest) -> Result<(), RequestError> {
    match request.messages.as_slice() {
        [only] if only.role == Role::User => Ok(()),
        _ => {
            let wanted = "one message of the user: this model draws from a bare caption";
            Err(RequestError::out_of_range("messages", wanted))
        }
    }
}

fn asks_for_json(request: &ChatCompletionRequest) -> bool {
    let format = request.response_format.as_ref();
    format.is_some_and(|format| format.r#type != ResponseFormatType::Text)
}

fn asks_for(request: &ChatCompletionRequest, modality: Modality) -> bool {
    request.modalities.as_ref().is_some_and(|list| list.contains(&modality))
}

/// The path of the first picture that a role of these says.
fn first_picture(
    request: &ChatCompletionRequest,
    is_meant: impl Fn(Role) -> bool,
) -> Option<String> {
    let messages = request.messages.iter().enumerate();
    messages.filter(|(_, message)| is_meant(message.role)).find_map(|(index, message)| {
        let parts = match &message.content {
            Some(Content::Parts(parts)) => parts.as_slice(),
            Some(Content::Text(_)) | None => &[],
        };
        let markdown = conversation::has_markdown_picture(message);
        let shown = parts.iter().position(|part| match part {
            ContentPart::ImageUrl { .. } => true,
            ContentPart::Text { .. } => false,
        });
        let own = message.images.as_ref().filter(|images| !images.is_empty());
        shown
            .map(|part| format!("messages[{index}].content[{part}].image_url.url"))
            .or_else(|| own.map(|_| format!("messages[{index}].images[0].image_url.url")))
            .or_else(|| markdown.then(|| format!("messages[{index}].content")))
    })
}
