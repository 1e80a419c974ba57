//! `/v1/responses/{id}` and below: what is stored, for its owner.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use reverie_proto::{DeletedResponse, InputItem, InputItemList, Response};

use super::AppState;
use super::access::tenant_of;
use super::error::ApiError;
use super::preparation::blocking;
use super::shelf::Shelf;
use crate::request::StoredResponse;
use crate::store::StoredId;

/// Items of a page at most, and unless it is said, as OpenAI's.
const MAX_PAGE_ITEMS: usize = 100;
const PAGE_ITEMS: usize = 20;

type PathId = Result<Path<String>, PathRejection>;

/// The response again.
pub(super) async fn retrieve(
    State(state): State<AppState>,
    id: PathId,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Response>, ApiError> {
    let streams = fields(query.as_deref(), &["stream"])?
        .into_iter()
        .any(|(name, value)| name == "stream" && value != "false");
    if streams {
        return Err(ApiError::bad_query(
            "stream",
            "false: only what runs in the background is followed",
        ));
    }
    let stored = find(&state, id, &headers).await?;
    Ok(Json(stored.response))
}

/// Forgets the response.
pub(super) async fn delete(
    State(state): State<AppState>,
    id: PathId,
    headers: HeaderMap,
) -> Result<Json<DeletedResponse>, ApiError> {
    let (said, id) = response_id(id)?;
    let shelf = Shelf::new(&state, tenant_of(&state.settings, &headers)?);
    let forgotten = blocking(move || Ok(shelf.forget_response(id))).await?;
    if forgotten.map_err(|error| ApiError::store_failed(&error))? {
        Ok(Json(DeletedResponse { id: said, object: "response".to_owned(), deleted: true }))
    } else {
        Err(ApiError::no_such_response(&said))
    }
}

/// Nothing runs in the background, so that nothing can be cancelled but by leaving.
pub(super) async fn cancel(
    State(state): State<AppState>,
    id: PathId,
    headers: HeaderMap,
) -> Result<Json<Response>, ApiError> {
    find(&state, id, &headers).await?;
    Err(ApiError::not_in_background())
}

/// What the response was asked with, newest first unless the query says otherwise.
pub(super) async fn input_items(
    State(state): State<AppState>,
    id: PathId,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<InputItemList>, ApiError> {
    let page = PageWish::read(query.as_deref())?;
    let stored = find(&state, id, &headers).await?;
    page.of(stored.input).map(Json)
}

fn response_id(id: PathId) -> Result<(String, StoredId), ApiError> {
    let Path(said) = id.map_err(|_| ApiError::no_such_response(""))?;
    let id = said.parse().map_err(|_| ApiError::no_such_response(&said))?;
    Ok((said, id))
}

async fn find(
    state: &AppState,
    id: PathId,
    headers: &HeaderMap,
) -> Result<StoredResponse, ApiError> {
    let (said, id) = response_id(id)?;
    let shelf = Shelf::new(state, tenant_of(&state.settings, headers)?);
    let found = blocking(move || Ok(shelf.find_response(id))).await?;
    let found = found.map_err(|error| ApiError::store_failed(&error))?;
    found.ok_or_else(|| ApiError::no_such_response(&said))
}

/// Names and values of a query, all of them known; no value of ours needs escaping.
fn fields<'a>(query: Option<&'a str>, known: &[&str]) -> Result<Vec<(&'a str, &'a str)>, ApiError> {
    let fields = query.unwrap_or_default().split('&').filter(|field| !field.is_empty());
    let field = |field: &'a str| match field.split_once('=').unwrap_or((field, "")) {
        // Every item says all that it can.
        (name, value) if name.starts_with("include") || known.contains(&name) => Ok((name, value)),
        (name, _) => Err(ApiError::unknown_query(name)),
    };
    fields.map(field).collect()
}

/// Which items are wanted.
struct PageWish {
    limit: usize,
    is_ascending: bool,
    after: Option<String>,
}

impl PageWish {
    fn read(query: Option<&str>) -> Result<Self, ApiError> {
        let mut wish = Self { limit: PAGE_ITEMS, is_ascending: false, after: None };
        for (name, value) in fields(query, &["limit", "order", "after"])? {
            match (name, value) {
                ("limit", text) => {
                    let limit = text.parse().ok().filter(|n| (1..=MAX_PAGE_ITEMS).contains(n));
                    let wanted = "between 1 and 100";
                    wish.limit = limit.ok_or_else(|| ApiError::bad_query("limit", wanted))?;
                }
                ("order", "asc") => wish.is_ascending = true,
                ("order", "desc") => wish.is_ascending = false,
                ("order", _) => return Err(ApiError::bad_query("order", "`asc` or `desc`")),
                ("after", id) => wish.after = Some(id.to_owned()),
                (_, _) => {}
            }
        }
        Ok(wish)
    }

    fn of(self, mut items: Vec<InputItem>) -> Result<InputItemList, ApiError> {
        if !self.is_ascending {
            items.reverse();
        }
        if let Some(after) = &self.after {
            let position = items.iter().position(|item| item.id() == Some(after));
            let position = position.ok_or_else(|| ApiError::bad_query("after", "an item's id"))?;
            items.drain(..=position);
        }
        let has_more = items.len() > self.limit;
        items.truncate(self.limit);
        let id = |item: Option<&InputItem>| item.and_then(InputItem::id).map(str::to_owned);
        let (first_id, last_id) = (id(items.first()), id(items.last()));
        Ok(InputItemList { object: "list".to_owned(), data: items, first_id, last_id, has_more })
    }
}
