//! `POST /tokenize` and `POST /detokenize`, as vLLM's: every position of the context is one id, a picture as many
//! as it takes. Asks the engine nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use reverie_model::Picture;
use reverie_proto::{DetokenizeAnswer, TokenizeAnswer, parse};

use super::access::tenant_of;
use super::body::{self, HeldBody};
use super::error::ApiError;
use super::preparation::blocking;
use super::shelf::Shelf;
use super::{AppState, ServedModel};
use crate::engine::request::PromptSegment;
use crate::prompt::build_prompt;
use crate::request::{
    Piece, RequestError, RequestedPicture, TextToTokenize, Turn, validate_detokenize,
    validate_tokenize,
};

/// Text or a conversation to ids.
pub(super) async fn tokenize(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<TokenizeAnswer>, ApiError> {
    let shelf = Shelf::new(&state, tenant_of(&state.settings, request.headers())?);
    let HeldBody { bytes, room } = body::json_bytes(request, &state).await?;
    let preparing = Arc::clone(&state.preparing).try_acquire_owned();
    let preparing = preparing.map_err(|_all_taken| ApiError::too_many_preparing())?;
    let model = Arc::clone(&state.model);
    let answer = blocking(move || {
        let answer = tokenized(&bytes, &shelf, &model);
        drop((room, preparing)); // held by the work, not by the client: leaving does not free it early
        answer
    });
    answer.await.map(Json)
}

/// Ids to text.
pub(super) async fn detokenize(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<DetokenizeAnswer>, ApiError> {
    let HeldBody { bytes, room } = body::json_bytes(request, &state).await?;
    let preparing = Arc::clone(&state.preparing).try_acquire_owned();
    let preparing = preparing.map_err(|_all_taken| ApiError::too_many_preparing())?;
    let model = Arc::clone(&state.model);
    let answer = blocking(move || {
        let request = parse::detokenize_request(&bytes)?;
        let ids = validate_detokenize(request, &model.limits, model.vocabulary.size)?;
        let prompt = (model.vocabulary.decode)(&ids);
        drop((room, preparing)); // as above
        Ok(DetokenizeAnswer { prompt })
    });
    answer.await.map(Json)
}

fn tokenized(
    body: &[u8],
    own: &Shelf,
    model: &ServedModel,
) -> Result<TokenizeAnswer, RequestError> {
    let request = parse::tokenize_request(body)?;
    let spells = request.return_token_strs.unwrap_or(false);
    let tokens = match validate_tokenize(request, own, &model.limits)? {
        TextToTokenize::Plain { text, begins_document } => {
            let mut ids =
                if begins_document { vec![model.vocabulary.special.bos] } else { Vec::new() };
            ids.extend((model.vocabulary.encode)(&text));
            ids
        }
        TextToTokenize::Conversation(turns) => {
            let turns = turns.into_iter().map(without_pixels).collect::<Vec<_>>();
            let prompt = build_prompt(&turns, &model.template, model.encoder());
            prompt.iter().flat_map(|segment| ids(segment, model)).collect()
        }
    };
    let spelt = |id: &u32| (model.vocabulary.spell)(*id);
    Ok(TokenizeAnswer {
        count: tokens.len(),
        max_model_len: model.limits.max_model_len,
        token_strs: spells.then(|| tokens.iter().map(spelt).collect()),
        tokens,
    })
}

/// All pictures take the same positions, whatever they show and wherever they are.
fn without_pixels(turn: Turn<RequestedPicture>) -> Turn<Arc<Picture>> {
    let piece = |piece| match piece {
        Piece::Text(text) => Piece::Text(text),
        Piece::Picture(RequestedPicture::File(_) | RequestedPicture::Remote(_)) => {
            Piece::Picture(Arc::new(Picture::new(1, 1, vec![0; 3])))
        }
    };
    Turn { speaker: turn.speaker, pieces: turn.pieces.into_iter().map(piece).collect() }
}

/// The ids of a segment, as the reference's tokenizer writes blocks: `<im_patch>` fills both kinds.
fn ids(segment: &PromptSegment, model: &ServedModel) -> Vec<u32> {
    let special = &model.vocabulary.special;
    let block = |first, positions: usize, last| {
        let mut ids = vec![special.im_patch; positions];
        if let [opening, .., closing] = ids.as_mut_slice() {
            (*opening, *closing) = (first, last);
        }
        ids
    };
    match segment {
        PromptSegment::Tokens(ids) => ids.clone(),
        PromptSegment::Picture(_) => {
            block(special.im_start, model.limits.picture_positions, special.im_end)
        }
        PromptSegment::Dream => {
            block(special.dream_start, model.limits.dream_positions, special.dream_end)
        }
    }
}
