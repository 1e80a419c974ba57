//! Pictures of ours that come back by their address: in a picture's URL, or in the assistant's text where they were sent as
//! Markdown. Knows how they are written; whoever keeps them finds them.

use super::{EncodedPicture, PictureUrlFault, Piece, RequestError, RequestedPicture};
use crate::file_link::{FileLink, MAX_URL_BYTES};

/// Finds pictures that this service sent.
pub trait OwnPictures {
    /// The file that `url` leads to; `None` if it is no address of ours.
    fn at(&self, url: &str) -> Option<Result<Vec<u8>, OwnPictureFault>>;
}

/// Why a picture of ours is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnPictureFault {
    /// Its address looks like one of ours and was not signed here.
    Forged,
    /// Its address has expired.
    Expired,
    /// It is not kept any more.
    Gone,
    /// The store failed; the cause is in the log.
    StoreFailed,
}

/// Where nothing is kept.
#[derive(Debug, Clone, Copy)]
pub struct NoOwnPictures;

impl OwnPictures for NoOwnPictures {
    fn at(&self, _url: &str) -> Option<Result<Vec<u8>, OwnPictureFault>> {
        None
    }
}

/// The picture at `url`, if that is an address of ours; `param` is the URL's own path.
pub(super) fn find(
    own: &dyn OwnPictures,
    param: &str,
    url: &str,
) -> Option<Result<EncodedPicture, RequestError>> {
    let param = param.to_owned();
    let fault = match own.at(url)? {
        Ok(bytes) => return Some(Ok(EncodedPicture { param, bytes })),
        Err(OwnPictureFault::StoreFailed) => return Some(Err(RequestError::StoreFailed)),
        Err(OwnPictureFault::Forged) => PictureUrlFault::Forged,
        Err(OwnPictureFault::Expired | OwnPictureFault::Gone) => PictureUrlFault::Expired,
    };
    Some(Err(RequestError::PictureUrl { param, fault }))
}

/// A piece of a text that may hold pictures as Markdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkdownPiece<'a> {
    /// Text.
    Text(&'a str),
    /// The address of a picture of ours.
    Picture(&'a str),
}

/// `text` with every `![…](address of ours)` apart. Takes time in proportion to its length.
pub(super) fn markdown_pieces(text: &str) -> Vec<MarkdownPiece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(bracket) = text[from..].find("](").map(|offset| from + offset) {
        let url_start = bracket + 2;
        from = url_start;
        let window = &text.as_bytes()[url_start..text.len().min(url_start + MAX_URL_BYTES)];
        let Some(url_len) = window.iter().position(|byte| *byte == b')') else { continue };
        let url = &text[url_start..url_start + url_len];
        if FileLink::parse(url).is_none() {
            continue;
        }
        let Some(mark) = text[start..bracket].rfind("![").map(|offset| start + offset) else {
            continue;
        };
        if mark > start {
            pieces.push(MarkdownPiece::Text(&text[start..mark]));
        }
        pieces.push(MarkdownPiece::Picture(url));
        start = url_start + url_len + 1;
        from = start;
    }
    if start < text.len() || pieces.is_empty() {
        pieces.push(MarkdownPiece::Text(&text[start..]));
    }
    pieces
}

/// The assistant's text as it was before its pictures became Markdown; `param` is the text's own path.
pub(super) fn restored(
    own: &dyn OwnPictures,
    param: &str,
    text: String,
) -> Result<Vec<Piece<RequestedPicture>>, RequestError> {
    let pieces = markdown_pieces(&text);
    if let [MarkdownPiece::Text(_)] = pieces.as_slice() {
        return Ok(vec![Piece::Text(text)]);
    }
    let piece = |piece| match piece {
        MarkdownPiece::Text(text) => Ok(Piece::Text(text.to_owned())),
        MarkdownPiece::Picture(url) => match find(own, param, url) {
            Some(found) => found.map(RequestedPicture::File).map(Piece::Picture),
            None => {
                let (param, fault) = (param.to_owned(), PictureUrlFault::Forged);
                Err(RequestError::PictureUrl { param, fault })
            }
        },
    };
    pieces.into_iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::MarkdownPiece::{Picture, Text};
    use super::*;
    use crate::file_link::SigningKey;
    use crate::store::{StoredId, StoredKind};

    fn url(unique: u128) -> String {
        let id = StoredId { kind: StoredKind::Picture, unique };
        FileLink::new(id, 9, &SigningKey::of_secret("quiet")).url("http://localhost:8000")
    }

    #[test]
    fn pictures_of_ours_stand_apart_and_all_else_is_text() {
        let (one, two) = (url(1), url(2));
        let text = format!(
            "Once ![a cat](http://host/cat.png)\n\n![p]({one})\n\n![q]({two}) [link]({one}) é"
        );
        assert_eq!(
            markdown_pieces(&text),
            [
                Text("Once ![a cat](http://host/cat.png)\n\n"),
                Picture(&one),
                Text("\n\n"),
                Picture(&two),
                Text(&format!(" [link]({one}) é")),
            ]
        );
        let only = format!("![]({one})");
        assert_eq!(markdown_pieces(&only), [Picture(&one)]);
        for text in ["", "plain", "](", "![](", "é](é)é", "![x](y"] {
            assert_eq!(markdown_pieces(text), [Text(text)]);
        }
    }

    #[test]
    fn a_text_of_nothing_but_brackets_is_read_once() {
        let text = "](".repeat(1 << 17);
        assert_eq!(markdown_pieces(&text).len(), 1);
    }
}
