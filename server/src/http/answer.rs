//! From the engine's events to a whole answer, of one choice or several, and the pieces both kinds of answer share.

use reverie_proto::chat_answer::{CompletionTokensDetails, PromptTokensDetails};
use reverie_proto::{
    AnswerMessage, ChatCompletion, Choice, Content, ContentPart, EffectiveParameters,
    FinishDetails, FinishReason as WireFinishReason, ImageItem, ImageUsage, OrderedPart,
    PictureDigest, Role, TokenLogprob, TruncationReport, Usage as WireUsage,
};
use tokio_stream::StreamExt as _;

use super::choices::{self, ByChoice, ChoiceEvents};
use super::drawing_trace::drawing_trace;
use super::error::ApiError;
use super::logprobs::TokenSpelling;
use super::picture_delivery::{DeliveredPicture, PictureDelivery};
use crate::engine::event::{EngineEvent, FinishReason, Usage};
use crate::request::PicturePlace;

/// What an answer says of itself before it is written.
#[derive(Debug, Clone)]
pub(super) struct AnswerHead {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) effective: EffectiveParameters,
    /// Only where turns may be left out.
    pub(super) truncation: Option<TruncationReport>,
}

/// Waits for the end of all `events`. Dropping the future drops them, and so gives the documents up.
pub(super) async fn whole(
    mut events: ChoiceEvents,
    head: AnswerHead,
    delivery: &PictureDelivery,
    spelling: &TokenSpelling,
) -> Result<ChatCompletion, ApiError> {
    let num_choices = events.len();
    let grow = |_| GrowingChoice::new(delivery.place);
    let mut growing: Vec<GrowingChoice> = (0..num_choices).map(grow).collect();
    let mut ended = ByChoice::new(num_choices);
    let mut trace = None;
    while let Some((index, event)) = events.next().await {
        let choice = &mut growing[index];
        match event {
            EngineEvent::Text { delta, num_tokens: _, logprobs } => {
                choice.message.push_text(&delta);
                choice.logprobs.extend(spelling.in_chat(&logprobs));
            }
            EngineEvent::ImageStarted { .. } | EngineEvent::ImageProgress { .. } => {}
            EngineEvent::Image { index, picture } => {
                let picture = delivery.picture(picture, index).await?;
                choice.message.push_picture(&picture, index);
                choice.digests.push(picture.digest);
            }
            EngineEvent::Traced(pictures) => trace = Some(drawing_trace(pictures).await?),
            EngineEvent::Finished { reason, usage } => {
                if let Some(endings) = ended.complete(index, (reason, usage)) {
                    let completion = completion(head, growing, endings, delivery, spelling);
                    return Ok(ChatCompletion { trace, ..completion });
                }
            }
            EngineEvent::Failed(error) => return Err(ApiError::from(error)),
        }
    }
    Err(ApiError::engine_gone())
}

/// One answer as it is written.
struct GrowingChoice {
    message: MessageWriter,
    digests: Vec<PictureDigest>,
    logprobs: Vec<TokenLogprob>,
}

impl GrowingChoice {
    fn new(place: PicturePlace) -> Self {
        Self { message: MessageWriter::new(place), digests: Vec::new(), logprobs: Vec::new() }
    }

    fn end(self, index: usize, reason: FinishReason, spelling: &TokenSpelling) -> Choice {
        let (finish_reason, finish_details) = finish(reason);
        let logprobs = spelling.chat_logprobs(self.logprobs);
        let message = self.message.finish();
        Choice { index, message, logprobs, finish_reason, finish_details }
    }
}

/// Gathers a message, its pictures at the place where they are wanted.
struct MessageWriter {
    place: PicturePlace,
    text: String,
    images: Vec<ImageItem>,
    order: Vec<OrderedPart>,
    parts: Vec<ContentPart>,
}

impl MessageWriter {
    fn new(place: PicturePlace) -> Self {
        let (images, order, parts) = (Vec::new(), Vec::new(), Vec::new());
        Self { place, text: String::new(), images, order, parts }
    }

    fn push_text(&mut self, delta: &str) {
        if delta.is_empty() {
            return;
        }
        match self.place {
            PicturePlace::Images | PicturePlace::Markdown => {
                self.text.push_str(delta);
                match self.order.last_mut() {
                    Some(OrderedPart::Text { text }) => text.push_str(delta),
                    Some(OrderedPart::ImageRef { .. }) | None => {
                        self.order.push(OrderedPart::Text { text: delta.to_owned() });
                    }
                }
            }
            PicturePlace::Parts => match self.parts.last_mut() {
                Some(ContentPart::Text { text }) => text.push_str(delta),
                Some(ContentPart::ImageUrl { .. }) | None => {
                    self.parts.push(ContentPart::Text { text: delta.to_owned() });
                }
            },
        }
    }

    fn push_picture(&mut self, picture: &DeliveredPicture, index: usize) {
        match self.place {
            PicturePlace::Images => {
                self.images.push(picture.item());
                self.order.push(OrderedPart::ImageRef { index: index as u64 });
            }
            PicturePlace::Parts => self.parts.push(picture.part()),
            PicturePlace::Markdown => self.push_text(&picture.markdown()),
        }
    }

    fn finish(self) -> AnswerMessage {
        let (content, content_parts) = match self.place {
            PicturePlace::Images | PicturePlace::Markdown => {
                (Content::Text(self.text), Some(self.order))
            }
            PicturePlace::Parts => (Content::Parts(self.parts), None),
        };
        let (role, images) = (Role::Assistant, self.images);
        AnswerMessage { role, content, refusal: None, images, content_parts }
    }
}

fn completion(
    head: AnswerHead,
    mut growing: Vec<GrowingChoice>,
    endings: Vec<(FinishReason, Usage)>,
    delivery: &PictureDelivery,
    spelling: &TokenSpelling,
) -> ChatCompletion {
    // Provenance is of one answer: a request for several has none.
    let digests = growing.first_mut().map(|choice| std::mem::take(&mut choice.digests));
    let provenance = digests.and_then(|digests| delivery.provenance.of_answer(digests));
    let (reasons, usages): (Vec<_>, Vec<_>) = endings.into_iter().unzip();
    let written = growing.into_iter().zip(reasons).enumerate();
    let choices = written.map(|(index, (choice, reason))| choice.end(index, reason, spelling));
    ChatCompletion {
        id: head.id,
        object: "chat.completion".to_owned(),
        created: head.created,
        model: head.model,
        choices: choices.collect(),
        usage: wire_usage(&choices::together(&usages)),
        effective: head.effective,
        truncation: head.truncation,
        provenance,
        trace: None,
    }
}

/// OpenAI's word for `reason`, and the exact one.
pub(super) fn finish(reason: FinishReason) -> (WireFinishReason, FinishDetails) {
    match reason {
        FinishReason::EndOfText => (WireFinishReason::Stop, FinishDetails::EndOfText),
        FinishReason::StopString => (WireFinishReason::Stop, FinishDetails::StopString),
        FinishReason::MaxTokens => (WireFinishReason::Length, FinishDetails::MaxTokens),
        FinishReason::MaxImages => (WireFinishReason::Length, FinishDetails::MaxImages),
        FinishReason::ContextFull => (WireFinishReason::Length, FinishDetails::ContextFull),
    }
}

/// OpenAI's tokens are our positions: that is what a context runs out of.
pub(super) fn wire_usage(usage: &Usage) -> WireUsage {
    let completion_tokens = usage.text_tokens + usage.image_positions;
    WireUsage {
        prompt_tokens: usage.prompt_positions,
        completion_tokens,
        total_tokens: usage.prompt_positions + completion_tokens,
        prompt_tokens_details: PromptTokensDetails {
            cached_tokens: usage.prompt_cached_positions,
            image_tokens: usage.prompt_image_positions,
        },
        completion_tokens_details: CompletionTokensDetails {
            reasoning_tokens: 0,
            image_tokens: usage.image_positions,
        },
        images: ImageUsage {
            input: usage.prompt_images,
            output: usage.images,
            positions_used: usage.positions_used,
            positions_left: usage.positions_left,
            more_images_fit: usage.images_left,
        },
    }
}
