//! The state of the search index.

use actix_web::web;

use super::error::ApiError;
use super::input::{NoParameters, Query};
use super::types::search::{SearchState, SearchStatus};
use crate::http::service::Service;
use crate::store::IndexState;

/// The state of the search index, which makes searches faster. Messages that are not indexed yet
/// are searched as well.
#[cfg_attr(test, utoipa::path(get, path = "/search/status", tag = "messages",
    responses((status = 200, description = "The state of the index.", body = SearchStatus))))]
pub async fn status(
    service: web::Data<Service>,
    _: Query<NoParameters>,
) -> Result<web::Json<SearchStatus>, ApiError> {
    let reads = service.store.reads();
    let newest = reads.newest_message().await?;
    let Some(index) = reads.index_status(newest) else {
        return Ok(web::Json(SearchStatus::off()));
    };
    let (state, reason) = match index.state {
        IndexState::Ready => (SearchState::Ready, None),
        IndexState::Indexing => (SearchState::Indexing, None),
        IndexState::Waiting(reason) => (SearchState::Waiting, Some(reason)),
        IndexState::Failed(reason) => (SearchState::Failed, Some(reason)),
    };
    Ok(web::Json(SearchStatus {
        state,
        reason,
        indexed_through: Some(index.indexed_through.get()),
        newest: Some(newest.get()),
        lag_messages: Some(index.lag_messages),
        messages: Some(index.messages),
        bytes: Some(index.bytes),
        generations: Some(index.generations),
    }))
}
