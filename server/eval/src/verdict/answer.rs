//! An answer as it is judged: texts and pictures in order, each picture read once. Knows no wire.

use image::RgbImage;

use crate::world::{Reading, Scene, read};

/// What a server answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// In order; texts are stripped and not empty.
    pub pieces: Vec<AnswerPiece>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerPiece {
    /// Words.
    Text(String),
    /// A picture.
    Picture(DrawnPicture),
}

/// A picture that was drawn, and what the reader sees in it.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnPicture {
    /// The file, as it was delivered.
    pub file: Vec<u8>,
    /// Nothing where the picture is not of the world's size.
    pub reading: Option<Reading>,
}

impl DrawnPicture {
    /// Reads `picture`, which was delivered as `file`.
    pub fn new(file: Vec<u8>, picture: &RgbImage) -> Self {
        Self { file, reading: read(picture) }
    }

    /// Clean, and everything as wanted.
    pub fn shows(&self, wanted: &Scene) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.shows(wanted))
    }
}

impl Answer {
    /// Its texts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            AnswerPiece::Text(text) => Some(text.as_str()),
            AnswerPiece::Picture(_) => None,
        })
    }

    /// Its pictures.
    pub fn pictures(&self) -> impl Iterator<Item = &DrawnPicture> {
        self.pieces.iter().filter_map(|piece| match piece {
            AnswerPiece::Text(_) => None,
            AnswerPiece::Picture(picture) => Some(picture),
        })
    }

    /// All its words.
    pub fn said(&self) -> String {
        self.texts().collect::<Vec<_>>().join(" ")
    }
}
