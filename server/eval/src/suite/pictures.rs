//! The pictures that cases name: files as they are, tiles of a sheet, scenes drawn here. Sheets are decoded
//! once. Knows no case.

use std::collections::HashMap;
use std::io::Cursor;

use image::imageops::crop_imm;
use image::{ImageError, ImageFormat, RgbImage};

use super::{Content, ContentLine, Source};
use crate::file_error::FileError;
use crate::world::{SIDE, draw};

/// A picture that a case names and that is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureFault {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{file}: {source}")]
    Image { file: String, source: ImageError },
    #[error("{file} has {tiles} tiles, so none with number {tile}")]
    Tile { file: String, tile: usize, tiles: usize },
}

/// Sheets that have been opened.
#[derive(Default)]
pub(super) struct Shelf {
    sheets: HashMap<String, RgbImage>,
}

impl Shelf {
    pub(super) fn content(
        &mut self,
        part: &ContentLine,
        source: &Source,
    ) -> Result<Content, PictureFault> {
        match part {
            ContentLine::Text { text } => Ok(Content::Text(text.clone())),
            ContentLine::Image { file, tile: None } => Ok(Content::Picture(source.read(file)?)),
            ContentLine::Image { file, tile: Some(tile) } => {
                let picture = self.tile(file, *tile, source)?;
                png(&picture).map(Content::Picture).map_err(|source| fault(file, source))
            }
            ContentLine::Scene { scene } => {
                let drawn = draw(scene, [(0, 0); 4]);
                png(&drawn).map(Content::Picture).map_err(|source| fault("a scene", source))
            }
        }
    }

    fn tile(&mut self, file: &str, tile: usize, source: &Source) -> Result<RgbImage, PictureFault> {
        if !self.sheets.contains_key(file) {
            let bytes = source.read(file)?;
            let sheet = image::load_from_memory(&bytes).map_err(|source| fault(file, source))?;
            self.sheets.insert(file.to_owned(), sheet.into_rgb8());
        }
        let sheet = &self.sheets[file];
        let columns = (sheet.width() / SIDE) as usize;
        let tiles = columns * (sheet.height() / SIDE) as usize;
        if tile >= tiles {
            return Err(PictureFault::Tile { file: file.to_owned(), tile, tiles });
        }
        let (left, top) = ((tile % columns) as u32 * SIDE, (tile / columns) as u32 * SIDE);
        Ok(crop_imm(sheet, left, top, SIDE, SIDE).to_image())
    }
}

fn fault(file: &str, source: ImageError) -> PictureFault {
    PictureFault::Image { file: file.to_owned(), source }
}

fn png(picture: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}
