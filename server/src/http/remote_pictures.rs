//! The pictures of a request that lie elsewhere, fetched before anything is decoded. What is fetched takes room like
//! a body; whoever leaves closes its connections.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::AppState;
use super::body::Room;
use super::error::ApiError;
use crate::picture_fetch::{FetchError, PictureFetcher};
use crate::request::{
    EncodedPicture, PictureUrlFault, Piece, RemotePicture, RequestError, RequestedPicture, Turn,
    remote_pictures,
};

/// A file and the room that it takes.
type Fetched = Result<(EncodedPicture, Room), ApiError>;

/// The same turns with all pictures here, and the room that those from elsewhere take.
pub(super) async fn fetched(
    state: &AppState,
    turns: Vec<Turn<RequestedPicture>>,
) -> Result<(Vec<Turn<EncodedPicture>>, Vec<Room>), ApiError> {
    let mut fetches = JoinSet::new();
    for (number, remote) in remote_pictures(&turns, &state.model.limits)?.into_iter().enumerate() {
        let (fetcher, room) = (Arc::clone(&state.fetcher), Room::empty(&state.body_memory));
        fetches.spawn(async move { (number, fetch(&fetcher, remote, room).await) });
    }
    // All of them are waited for, so that an error names the first in the request.
    let mut files = Vec::with_capacity(fetches.len());
    while let Some(done) = fetches.join_next().await {
        files.push(done.map_err(|_panicked| ApiError::internal())?);
    }
    files.sort_by_key(|(number, _)| *number);
    arranged(turns, files.into_iter().map(|(_, file)| file))
}

async fn fetch(fetcher: &PictureFetcher, remote: RemotePicture, mut room: Room) -> Fetched {
    let RemotePicture { param, url } = remote;
    let fault = match fetcher.fetch(url, |bytes| room.grow_to(bytes).is_ok()).await {
        Ok(bytes) => return Ok((EncodedPicture { param, bytes }, room)),
        Err(FetchError::NoRoom) => return Err(ApiError::no_room_for_body()),
        Err(FetchError::TooLarge { limit }) => PictureUrlFault::TooLarge { limit },
        Err(error) => {
            // The client is not told which: it would learn of hosts and ports that only we reach.
            tracing::debug!(%error, "a picture could not be fetched");
            PictureUrlFault::FetchFailed
        }
    };
    Err(RequestError::PictureUrl { param, fault }.into())
}

/// `turns` with each picture that was fetched at its place.
fn arranged(
    turns: Vec<Turn<RequestedPicture>>,
    mut files: impl Iterator<Item = Fetched>,
) -> Result<(Vec<Turn<EncodedPicture>>, Vec<Room>), ApiError> {
    let mut rooms = Vec::new();
    let mut here = |piece| match piece {
        Piece::Text(text) => Ok(Piece::Text(text)),
        Piece::Picture(RequestedPicture::File(file)) => Ok(Piece::Picture(file)),
        Piece::Picture(RequestedPicture::Remote(_)) => {
            let (file, room) = files.next().unwrap_or_else(|| Err(ApiError::internal()))?;
            rooms.push(room);
            Ok(Piece::Picture(file))
        }
    };
    let turn = |Turn { speaker, pieces }: Turn<RequestedPicture>| {
        let pieces = pieces.into_iter().map(&mut here).collect::<Result<_, ApiError>>()?;
        Ok(Turn { speaker, pieces })
    };
    let turns = turns.into_iter().map(turn).collect::<Result<_, ApiError>>()?;
    Ok((turns, rooms))
}
