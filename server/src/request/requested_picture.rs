//! A picture of a request: in it, or elsewhere. Which of the two a URL is, and how many may be elsewhere. Fetches
//! nothing.

use super::picture_url::PictureUrl;
use super::{EncodedPicture, Limits, PictureUrlFault, Piece, RequestError, Turn, data_url};

/// A picture of a request, before anything is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedPicture {
    /// It came with the request.
    File(EncodedPicture),
    /// It is to be fetched.
    Remote(RemotePicture),
}

/// A picture that is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePicture {
    /// The path of its URL in the request, for errors.
    pub param: String,
    /// Where it is.
    pub url: PictureUrl,
}

impl RequestedPicture {
    /// The picture that the URL at `param` stands for.
    pub(super) fn at(param: String, url: &str, limits: &Limits) -> Result<Self, RequestError> {
        let read = if limits.picture_urls.is_enabled() && is_web(url) {
            PictureUrl::parse(url, &limits.picture_urls)
                .map(|url| Self::Remote(RemotePicture { param: param.clone(), url }))
        } else {
            data_url::decode(url, limits.max_image_bytes)
                .map(|bytes| Self::File(EncodedPicture { param: param.clone(), bytes }))
        };
        read.map_err(|fault| RequestError::PictureUrl { param, fault })
    }

    /// Bytes of its file, as far as it is here.
    pub fn num_bytes(&self) -> usize {
        match self {
            Self::File(file) => file.bytes.len(),
            Self::Remote(_) => 0,
        }
    }

    /// The path of what stands for it in the request.
    pub(super) fn param(&self) -> &str {
        match self {
            Self::File(EncodedPicture { param, .. })
            | Self::Remote(RemotePicture { param, .. }) => param,
        }
    }
}

fn is_web(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    })
}

/// The pictures of `turns` that are to be fetched, in order.
///
/// # Errors
/// If there are more than a request may have.
pub fn remote_pictures(
    turns: &[Turn<RequestedPicture>],
    limits: &Limits,
) -> Result<Vec<RemotePicture>, RequestError> {
    let pieces = turns.iter().flat_map(|turn| &turn.pieces);
    let remote = pieces.filter_map(|piece| match piece {
        Piece::Picture(RequestedPicture::Remote(remote)) => Some(remote.clone()),
        Piece::Picture(RequestedPicture::File(_)) | Piece::Text(_) => None,
    });
    let remote: Vec<_> = remote.collect();
    let limit = limits.max_image_urls;
    match remote.get(limit) {
        None => Ok(remote),
        Some(RemotePicture { param, url: _ }) => {
            Err(RequestError::TooManyPictureUrls { param: param.clone(), limit })
        }
    }
}

/// `turns` where nothing is fetched.
///
/// # Errors
/// The first picture that would have to be.
pub fn files_only(
    turns: Vec<Turn<RequestedPicture>>,
) -> Result<Vec<Turn<EncodedPicture>>, RequestError> {
    let file = |piece| match piece {
        Piece::Text(text) => Ok(Piece::Text(text)),
        Piece::Picture(RequestedPicture::File(file)) => Ok(Piece::Picture(file)),
        Piece::Picture(RequestedPicture::Remote(RemotePicture { param, url: _ })) => {
            Err(RequestError::PictureUrl { param, fault: PictureUrlFault::FetchingDisabled })
        }
    };
    let turn = |Turn { speaker, pieces }: Turn<RequestedPicture>| {
        let pieces = pieces.into_iter().map(file).collect::<Result<_, _>>()?;
        Ok(Turn { speaker, pieces })
    };
    turns.into_iter().map(turn).collect()
}
