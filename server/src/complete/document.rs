//! A finished document: text and pictures in the order in which they were written.

use std::sync::Arc;

use reverie_model::Picture;

use crate::engine::event::EngineEvent;

/// One piece of a document.
#[derive(Debug, Clone)]
pub enum DocumentPart {
    /// Text between two pictures.
    Text(String),
    /// A drawn picture.
    Image(Arc<Picture>),
}

/// What a request was answered with.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// The pieces, in order; no two texts are neighbours.
    pub parts: Vec<DocumentPart>,
}

impl Document {
    /// Appends what an event adds; events that carry neither text nor a picture add nothing.
    pub fn append(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Text { delta, .. } => match self.parts.last_mut() {
                Some(DocumentPart::Text(text)) => text.push_str(delta),
                Some(DocumentPart::Image(_)) | None => {
                    self.parts.push(DocumentPart::Text(delta.clone()));
                }
            },
            EngineEvent::Image { picture, .. } => {
                self.parts.push(DocumentPart::Image(Arc::clone(picture)));
            }
            EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Finished { .. }
            | EngineEvent::Failed(_) => {}
        }
    }
}
