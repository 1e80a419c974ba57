//! What a picture's file says besides its pixels: notes, and where it comes from in IPTC's words. Knows the
//! XMP packet's form and how notes are read back from a PNG; not what they mean.

use std::io::Cursor;

use crate::error::PictureError;

/// IPTC's digital source type of a picture that a trained model made
/// (<https://cv.iptc.org/newscodes/digitalsourcetype/>).
pub const TRAINED_ALGORITHMIC_MEDIA: &str =
    "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";

/// The keyword under which a PNG holds its XMP packet (XMP, part 3).
pub(super) const PNG_XMP_KEYWORD: &str = "XML:com.adobe.xmp";

/// Bytes of all notes of a file that is read back: more than any of ours has.
const MAX_NOTES_BYTES: usize = 16 << 20;

/// What a file says besides its pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Pairs of a key, 1 to 79 bytes of ASCII, and a text.
    pub notes: Vec<(String, String)>,
    /// Where the picture comes from: a URI of IPTC's list of digital source types.
    pub digital_source_type: Option<&'static str>,
}

impl Metadata {
    /// The XMP packet that states the source type and `notes`; `None` where there is nothing to state.
    pub(super) fn xmp(&self, notes: &[(String, String)]) -> Option<String> {
        if self.digital_source_type.is_none() && notes.is_empty() {
            return None;
        }
        let source = self.digital_source_type.map_or_else(String::new, |uri| {
            let uri = escape(uri);
            format!("<Iptc4xmpExt:DigitalSourceType>{uri}</Iptc4xmpExt:DigitalSourceType>")
        });
        let items: String = notes
            .iter()
            .map(|(key, text)| format!("<rdf:li>{}: {}</rdf:li>", escape(key), escape(text)))
            .collect();
        let relation = match items.as_str() {
            "" => String::new(),
            items => format!("<dc:relation><rdf:Bag>{items}</rdf:Bag></dc:relation>"),
        };
        Some(format!(
            "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
             <x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
             <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
             xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\">{source}{relation}\
             </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>"
        ))
    }
}

/// The same as XML's character data. What XML cannot hold at all becomes spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\t' | '\n' | '\r' => escaped.push(symbol),
            '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            control if control.is_control() => escaped.push(' '),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// The notes of a PNG file: its iTXt chunks, in order.
///
/// # Errors
/// `Corrupt` for a file that is no whole PNG, or whose notes are no text or larger than any of ours.
pub fn read_png_notes(file: &[u8]) -> Result<Vec<(String, String)>, PictureError> {
    let mut reader =
        png::Decoder::new(Cursor::new(file)).read_info().map_err(|_| PictureError::Corrupt)?;
    reader.finish().map_err(|_| PictureError::Corrupt)?; // some programs write text after the pixels
    let mut left = MAX_NOTES_BYTES;
    let mut notes = Vec::new();
    for chunk in &reader.info().utf8_text {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(left).map_err(|_| PictureError::Corrupt)?;
        let text = chunk.get_text().map_err(|_| PictureError::Corrupt)?;
        left = left.saturating_sub(text.len());
        notes.push((chunk.keyword.clone(), text));
    }
    Ok(notes)
}
