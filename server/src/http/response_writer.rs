//! From what happens to a document to a response: its items in document order, and the event for each change. Pure: encodes no
//! picture, keeps nothing.

use reverie_proto::response_answer::{InputTokensDetails, OutputTokensDetails};
use reverie_proto::{
    Background, CallPlace, ImageFormat, IncompleteDetails, IncompleteReason, ItemStatus,
    OutputItem, OutputText, Quality, Response, ResponseError, ResponseEvent, ResponseHappening,
    ResponseStatus, ResponseUsage, Role, TextPlace, Usage as WireUsage,
};

use super::answer::{finish, wire_usage};
use super::error::ApiError;
use crate::engine::event::{FinishReason, Usage};
use crate::request::{ItemId, ItemKind};
use crate::store::StoredId;

/// A response as it is written.
#[derive(Debug)]
pub(super) struct ResponseWriter {
    response: Response,
    /// What its items are named by.
    id: StoredId,
    /// Items of its input: their names come before.
    num_input_items: usize,
    format: ImageFormat,
    /// The last item of `output` is not complete.
    open: Option<ItemKind>,
    /// Previews so far of the picture that is being drawn.
    num_previews: usize,
    sequence_number: u64,
}

type Events = Vec<ResponseEvent>;

impl ResponseWriter {
    /// Writes `response`, which has nothing in it yet.
    pub(super) fn new(
        response: Response,
        (id, num_input_items): (StoredId, usize),
        format: ImageFormat,
    ) -> Self {
        Self {
            response,
            id,
            num_input_items,
            format,
            open: None,
            num_previews: 0,
            sequence_number: 0,
        }
    }

    /// The response so far.
    pub(super) fn response(&self) -> &Response {
        &self.response
    }

    /// The response, if nothing more will happen to it.
    pub(super) fn into_response(self) -> Response {
        self.response
    }

    /// The events before anything has happened.
    pub(super) fn begin(&mut self) -> Events {
        let response = || Box::new(self.response.clone());
        let happenings = [
            ResponseHappening::Created { response: response() },
            ResponseHappening::InProgress { response: response() },
        ];
        happenings.map(|happening| self.event(happening)).to_vec()
    }

    /// Text goes on.
    pub(super) fn push_text(&mut self, delta: String) -> Events {
        let mut events = Vec::new();
        if delta.is_empty() {
            return events;
        }
        if self.open != Some(ItemKind::Message) {
            events.extend(self.close(ItemStatus::Completed));
            events.extend(self.open_message());
        }
        if let Some(OutputItem::Message { content, .. }) = self.response.output.last_mut()
            && let Some(text) = content.last_mut()
        {
            text.text.push_str(&delta);
        }
        let place = self.text_place();
        events.push(self.event(ResponseHappening::TextDelta { place, delta, logprobs: [] }));
        events
    }

    /// A picture is going to be drawn.
    pub(super) fn start_picture(&mut self) -> Events {
        let mut events = self.close(ItemStatus::Completed);
        self.num_previews = 0;
        let id = self.next_id(ItemKind::ImageGenerationCall);
        let item = OutputItem::ImageGenerationCall {
            id,
            status: ItemStatus::InProgress,
            result: None,
            output_format: self.format,
            size: self.response.effective.size.clone(),
            quality: Quality::Auto,
            background: Background::Opaque,
        };
        events.push(self.add(ItemKind::ImageGenerationCall, item));
        let place = self.call_place();
        events.push(self.event(ResponseHappening::CallInProgress(place.clone())));
        events.push(self.event(ResponseHappening::CallGenerating(place)));
        events
    }

    /// The picture that is being drawn, as it would be by now: a file in base64.
    pub(super) fn preview_picture(&mut self, file: String) -> Events {
        let partial_image_index = self.num_previews;
        self.num_previews += 1;
        let happening = ResponseHappening::PartialImage {
            place: self.call_place(),
            partial_image_index,
            partial_image_b64: file,
            output_format: self.format,
            size: self.response.effective.size.clone(),
            quality: Quality::Auto,
            background: Background::Opaque,
        };
        vec![self.event(happening)]
    }

    /// A picture is drawn: its file in base64.
    pub(super) fn push_picture(&mut self, file: String) -> Events {
        let mut events = match self.open {
            Some(ItemKind::ImageGenerationCall) => Vec::new(),
            Some(ItemKind::Message) | None => self.start_picture(),
        };
        if let Some(OutputItem::ImageGenerationCall { status, result, .. }) =
            self.response.output.last_mut()
        {
            *status = ItemStatus::Completed;
            *result = Some(file);
        }
        let place = self.call_place();
        events.push(self.event(ResponseHappening::CallCompleted(place)));
        events.extend(self.close(ItemStatus::Completed));
        events
    }

    /// The document is complete at `now`; nothing is said of it yet.
    pub(super) fn finish(&mut self, reason: FinishReason, usage: &Usage, now: u64) -> Events {
        let (_chat_reason, finish_details) = finish(reason);
        let is_whole = match reason {
            FinishReason::EndOfText | FinishReason::StopString => true,
            FinishReason::MaxTokens | FinishReason::MaxImages | FinishReason::ContextFull => false,
        };
        let ending = if is_whole { ItemStatus::Completed } else { ItemStatus::Incomplete };
        let events = self.close(ending);
        let response = &mut self.response;
        response.usage = Some(response_usage(wire_usage(usage)));
        response.completed_at = is_whole.then_some(now);
        if is_whole {
            response.status = ResponseStatus::Completed;
        } else {
            response.status = ResponseStatus::Incomplete;
            let reason = IncompleteReason::MaxOutputTokens;
            response.incomplete_details = Some(IncompleteDetails { reason, finish_details });
        }
        events
    }

    /// The last event of a response that has been [finished](Self::finish).
    pub(super) fn end(&mut self) -> ResponseEvent {
        let response = Box::new(self.response.clone());
        self.event(match response.status {
            ResponseStatus::Incomplete => ResponseHappening::Incomplete { response },
            ResponseStatus::Completed | ResponseStatus::InProgress | ResponseStatus::Failed => {
                ResponseHappening::Completed { response }
            }
        })
    }

    /// The last events of a response that cannot be completed: what there is of it, and then the error, in the shape that
    /// clients raise on.
    pub(super) fn fail(&mut self, error: &ApiError) -> Events {
        let error = error.body().error;
        let response = &mut self.response;
        response.status = ResponseStatus::Failed;
        let (code, message) = ("server_error".to_owned(), error.message.clone());
        response.error = Some(ResponseError { code, message });
        if let Some(
            OutputItem::Message { status, .. } | OutputItem::ImageGenerationCall { status, .. },
        ) = response.output.last_mut()
        {
            *status = match (*status, self.open) {
                (_, Some(ItemKind::Message)) => ItemStatus::Incomplete,
                (_, Some(ItemKind::ImageGenerationCall)) => ItemStatus::Failed,
                (status, None) => status,
            };
        }
        let response = Box::new(response.clone());
        let (code, message, param) =
            (error.code.clone(), error.message.clone(), error.param.clone());
        let failed = self.event(ResponseHappening::Failed { response });
        vec![failed, self.event(ResponseHappening::Error { code, message, param, error })]
    }

    fn open_message(&mut self) -> Events {
        let id = self.next_id(ItemKind::Message);
        let item = OutputItem::Message {
            id,
            status: ItemStatus::InProgress,
            role: Role::Assistant,
            content: Vec::new(),
        };
        let added = self.add(ItemKind::Message, item);
        let part = OutputText::new(String::new());
        if let Some(OutputItem::Message { content, .. }) = self.response.output.last_mut() {
            content.push(part.clone());
        }
        let place = self.text_place();
        vec![added, self.event(ResponseHappening::PartAdded { place, part })]
    }

    /// Completes the open item, if there is one.
    fn close(&mut self, ending: ItemStatus) -> Events {
        let mut events = Vec::new();
        let Some(kind) = self.open.take() else { return events };
        let output_index = self.response.output.len() - 1;
        if kind == ItemKind::Message
            && let Some(OutputItem::Message { status, content, .. }) =
                self.response.output.last_mut()
        {
            *status = ending;
            if let Some(part) = content.last().cloned() {
                let (place, text) = (self.text_place(), part.text.clone());
                let (same, logprobs) = (place.clone(), []);
                events.push(self.event(ResponseHappening::TextDone { place, text, logprobs }));
                events.push(self.event(ResponseHappening::PartDone { place: same, part }));
            }
        }
        let item = self.response.output[output_index].clone();
        events.push(self.event(ResponseHappening::ItemDone { output_index, item }));
        events
    }

    fn add(&mut self, kind: ItemKind, item: OutputItem) -> ResponseEvent {
        let output_index = self.response.output.len();
        self.response.output.push(item.clone());
        self.open = Some(kind);
        self.event(ResponseHappening::ItemAdded { output_index, item })
    }

    fn next_id(&self, kind: ItemKind) -> String {
        self.item_id(kind, self.response.output.len())
    }

    fn item_id(&self, kind: ItemKind, output_index: usize) -> String {
        // A context has room for far fewer items than numbers.
        let number = (self.num_input_items + output_index) as u16;
        ItemId { kind, response: self.id, number }.to_string()
    }

    fn text_place(&self) -> TextPlace {
        let output_index = self.response.output.len() - 1;
        let item_id = self.item_id(ItemKind::Message, output_index);
        TextPlace { item_id, output_index, content_index: 0 }
    }

    fn call_place(&self) -> CallPlace {
        let output_index = self.response.output.len() - 1;
        let item_id = self.item_id(ItemKind::ImageGenerationCall, output_index);
        CallPlace { item_id, output_index }
    }

    fn event(&mut self, happening: ResponseHappening) -> ResponseEvent {
        let sequence_number = self.sequence_number;
        self.sequence_number += 1;
        ResponseEvent { sequence_number, happening }
    }
}

fn response_usage(usage: WireUsage) -> ResponseUsage {
    ResponseUsage {
        input_tokens: usage.prompt_tokens,
        input_tokens_details: InputTokensDetails {
            cached_tokens: usage.prompt_tokens_details.cached_tokens,
            cache_write_tokens: 0,
            image_tokens: usage.prompt_tokens_details.image_tokens,
        },
        output_tokens: usage.completion_tokens,
        output_tokens_details: OutputTokensDetails {
            reasoning_tokens: usage.completion_tokens_details.reasoning_tokens,
            image_tokens: usage.completion_tokens_details.image_tokens,
        },
        total_tokens: usage.total_tokens,
        images: usage.images,
    }
}
