//! Pictures as server-sent events, in OpenAI's shapes: previews of each picture if they are asked for, and the
//! picture once it is complete. There is no `[DONE]`: the stream ends with its last picture, or with an error.

use std::time::Duration;

use axum::response::Response;
use reverie_proto::{
    Background, ImagePartialEvent, ImagePartialEventType, ImageStreamEvent, ImageStreamEventType,
    Quality,
};
use tokio_stream::StreamExt as _;

use super::answer::AnswerHead;
use super::choices::ChoiceEvents;
use super::error::ApiError;
use super::event_body::{self, EventWriter, Page};
use super::images::{wire_format, wire_usage};
use super::picture_delivery::{DeliveredFile, PictureDelivery, SentFile};
use crate::engine::event::{EngineEvent, Usage};

/// Which route's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageRoute {
    /// `image_generation.…`.
    Generation,
    /// `image_edit.…`.
    Edit,
}

impl ImageRoute {
    /// Where it is.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Generation => "/v1/images/generations",
            Self::Edit => "/v1/images/edits",
        }
    }
}

/// The response that streams `events`.
pub(super) fn stream(
    events: ChoiceEvents,
    head: AnswerHead,
    delivery: PictureDelivery,
    route: ImageRoute,
    keep_alive: Duration,
) -> Response {
    let num_left = events.len();
    let format = delivery.format;
    let happenings = events.then(move |(choice, event)| {
        let delivery = delivery.clone();
        async move { (choice, deliver(choice, event, &delivery).await) }
    });
    let (drawn, num_partial) = (vec![None; num_left], vec![0; num_left]);
    let format = wire_format(format);
    let writer = ImageWriter { head, route, format, num_partial, drawn, num_left };
    event_body::response(happenings, writer, keep_alive)
}

/// An event whose picture is ready to be sent.
enum Delivered {
    Nothing,
    Partial(String),
    Image(String),
    Finished(Usage),
    Failed(ApiError),
}

async fn deliver(choice: usize, event: EngineEvent, delivery: &PictureDelivery) -> Delivered {
    match event {
        EngineEvent::Text { .. }
        | EngineEvent::ImageStarted { .. }
        | EngineEvent::ImageProgress { preview: None, .. }
        | EngineEvent::Traced(_) => Delivered::Nothing,
        EngineEvent::ImageProgress { preview: Some(preview), .. } => {
            match delivery.partial_image(preview).await {
                Ok(file) => Delivered::Partial(file),
                Err(error) => Delivered::Failed(error),
            }
        }
        EngineEvent::Image { index: _, picture } => match delivery.file(picture, choice).await {
            Ok(DeliveredFile { file: SentFile::Base64(base64), .. }) => Delivered::Image(base64),
            // Addresses are asked for of whole answers only.
            Ok(DeliveredFile { file: SentFile::Address(_), .. }) => {
                Delivered::Failed(ApiError::internal())
            }
            Err(error) => Delivered::Failed(error),
        },
        EngineEvent::Finished { reason: _, usage } => Delivered::Finished(usage),
        EngineEvent::Failed(error) => Delivered::Failed(ApiError::from(error)),
    }
}

/// Writes the events of one answer.
struct ImageWriter {
    head: AnswerHead,
    route: ImageRoute,
    format: reverie_proto::ImageFormat,
    /// By choice: previews that were sent.
    num_partial: Vec<usize>,
    /// By choice: the picture, until it is known what it took.
    drawn: Vec<Option<String>>,
    num_left: usize,
}

impl EventWriter for ImageWriter {
    type Happening = (usize, Delivered);

    fn open(&mut self, _page: &mut Page) {}

    fn write(&mut self, (choice, delivered): Self::Happening, page: &mut Page) {
        match delivered {
            Delivered::Nothing => {}
            Delivered::Partial(file) => self.show(choice, file, page),
            Delivered::Image(file) => self.drawn[choice] = Some(file),
            Delivered::Finished(usage) => match self.drawn[choice].take() {
                Some(file) => self.complete(choice, file, usage, page),
                None => page.fail(&ApiError::engine_gone()),
            },
            Delivered::Failed(error) => page.fail(&error),
        }
    }

    fn id(&self) -> &str {
        &self.head.id
    }
}

impl ImageWriter {
    fn show(&mut self, choice: usize, file: String, page: &mut Page) {
        let r#type = match self.route {
            ImageRoute::Generation => ImagePartialEventType::Generation,
            ImageRoute::Edit => ImagePartialEventType::Edit,
        };
        let event = ImagePartialEvent {
            r#type,
            b64_json: file,
            partial_image_index: self.num_partial[choice],
            created_at: self.head.created,
            size: self.head.effective.size.clone(),
            quality: Quality::Auto,
            background: Background::Opaque,
            output_format: self.format,
            index: choice,
        };
        self.num_partial[choice] += 1;
        page.push_named(r#type.name(), &event);
    }

    fn complete(&mut self, choice: usize, file: String, usage: Usage, page: &mut Page) {
        let r#type = match self.route {
            ImageRoute::Generation => ImageStreamEventType::GenerationCompleted,
            ImageRoute::Edit => ImageStreamEventType::EditCompleted,
        };
        let event = ImageStreamEvent {
            r#type,
            b64_json: file,
            created_at: self.head.created,
            size: self.head.effective.size.clone(),
            quality: Quality::Auto,
            background: Background::Opaque,
            output_format: self.format,
            index: choice,
            usage: wire_usage(&[usage]),
            effective: self.head.effective.clone(),
        };
        page.push_named(r#type.name(), &event);
        self.num_left -= 1;
        if self.num_left == 0 {
            page.end();
        }
    }
}
