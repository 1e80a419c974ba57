//! `GET /v1/models` and `GET /v1/models/{id}`: names are compared, never turned into paths.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use reverie_model::config::Ability;
use reverie_proto::{ModelAbility, ModelCard, ModelList};

use super::error::ApiError;
use super::{AppState, ServedModel};

/// All names of the served model.
pub(super) async fn list(State(state): State<AppState>) -> Json<ModelList> {
    let names = &state.model.limits.model_names;
    let data = names.iter().map(|name| card(&state.model, name)).collect();
    Json(ModelList { object: "list".to_owned(), data })
}

/// One of them.
pub(super) async fn one(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelCard>, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::no_such_model(""))?;
    if !state.model.limits.model_names.contains(&id) {
        return Err(ApiError::no_such_model(&id));
    }
    Ok(Json(card(&state.model, &id)))
}

fn card(model: &ServedModel, name: &str) -> ModelCard {
    ModelCard {
        id: name.to_owned(),
        object: "model".to_owned(),
        created: model.created,
        owned_by: "reverie".to_owned(),
        max_model_len: model.limits.max_model_len,
        abilities: abilities(model),
        built_in: model.is_built_in,
    }
}

/// What the model was trained for, in the wire's words.
pub(super) fn abilities(model: &ServedModel) -> Vec<ModelAbility> {
    model.limits.abilities.list().iter().copied().map(on_the_wire).collect()
}

fn on_the_wire(ability: Ability) -> ModelAbility {
    match ability {
        Ability::Comprehension => ModelAbility::Comprehension,
        Ability::Creation => ModelAbility::Creation,
    }
}
