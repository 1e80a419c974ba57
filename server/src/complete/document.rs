//! A finished document: text and picture files in the order in which they were written.

/// One piece of a document.
#[derive(Debug, Clone)]
pub enum DocumentPart {
    /// Text between two pictures.
    Text(String),
    /// A drawn picture.
    Image(PictureFile),
}

/// A drawn picture's file.
#[derive(Debug, Clone)]
pub struct PictureFile {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// PNG.
    pub png: Vec<u8>,
}

/// What a request was answered with.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// The pieces, in order; no two texts are neighbours.
    pub parts: Vec<DocumentPart>,
}

impl Document {
    /// Appends text.
    pub fn push_text(&mut self, delta: &str) {
        match self.parts.last_mut() {
            Some(DocumentPart::Text(text)) => text.push_str(delta),
            Some(DocumentPart::Image(_)) | None => {
                self.parts.push(DocumentPart::Text(delta.to_owned()));
            }
        }
    }

    /// Appends a picture.
    pub fn push_picture(&mut self, file: PictureFile) {
        self.parts.push(DocumentPart::Image(file));
    }
}
