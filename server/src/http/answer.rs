//! From the engine's events to a whole answer, and the pieces both kinds of answer share.

use reverie_proto::chat_answer::{CompletionTokensDetails, PromptTokensDetails};
use reverie_proto::{
    AnswerMessage, ChatCompletion, Choice, EffectiveParameters, FinishDetails,
    FinishReason as WireFinishReason, ImageUsage, OrderedPart, Role, Usage as WireUsage,
};
use tokio_stream::StreamExt as _;

use super::drawing_trace::drawing_trace;
use super::error::ApiError;
use super::picture_delivery::{DeliveredPicture, PictureDelivery};
use crate::engine::document_engine::EventStream;
use crate::engine::event::{EngineEvent, FinishReason, Usage};

/// What an answer says of itself before it is written.
#[derive(Debug, Clone)]
pub(super) struct AnswerHead {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) effective: EffectiveParameters,
}

/// Waits for the end of `events`. Dropping the future drops them, and so gives the document up.
pub(super) async fn whole(
    mut events: EventStream,
    head: AnswerHead,
    delivery: &PictureDelivery,
) -> Result<ChatCompletion, ApiError> {
    let mut message = AnswerMessage {
        role: Role::Assistant,
        content: String::new(),
        refusal: None,
        images: Vec::new(),
        content_parts: Vec::new(),
    };
    let (mut digests, mut trace) = (Vec::new(), None);
    while let Some(event) = events.next().await {
        match event {
            EngineEvent::Text { delta, num_tokens: _ } => append_text(&mut message, &delta),
            EngineEvent::ImageStarted { .. } | EngineEvent::ImageProgress { .. } => {}
            EngineEvent::Image { index, picture } => {
                let DeliveredPicture { item, digest } = delivery.item(picture, index).await?;
                message.images.push(item);
                digests.push(digest);
                message.content_parts.push(OrderedPart::ImageRef { index: index as u64 });
            }
            EngineEvent::Traced(pictures) => trace = Some(drawing_trace(pictures).await?),
            EngineEvent::Finished { reason, usage } => {
                let provenance = delivery.provenance.of_answer(digests);
                let completion = completion(head, message, reason, usage);
                return Ok(ChatCompletion { provenance, trace, ..completion });
            }
            EngineEvent::Failed(error) => return Err(ApiError::from(error)),
        }
    }
    Err(ApiError::engine_gone())
}

fn append_text(message: &mut AnswerMessage, delta: &str) {
    if delta.is_empty() {
        return;
    }
    message.content.push_str(delta);
    match message.content_parts.last_mut() {
        Some(OrderedPart::Text { text }) => text.push_str(delta),
        Some(OrderedPart::ImageRef { .. }) | None => {
            message.content_parts.push(OrderedPart::Text { text: delta.to_owned() });
        }
    }
}

fn completion(
    head: AnswerHead,
    message: AnswerMessage,
    reason: FinishReason,
    usage: Usage,
) -> ChatCompletion {
    let (finish_reason, finish_details) = finish(reason);
    ChatCompletion {
        id: head.id,
        object: "chat.completion".to_owned(),
        created: head.created,
        model: head.model,
        choices: vec![Choice { index: 0, message, logprobs: None, finish_reason, finish_details }],
        usage: wire_usage(&usage),
        effective: head.effective,
        provenance: None,
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
