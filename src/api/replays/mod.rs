//! Replays of stored messages: lists and cancels them. `make` creates them.

pub mod make;

pub use make::{create, replay_one, retry};

use actix_web::web;
use serde::Deserialize;

use super::error::ApiError;
use super::input::{self, Id, NoParameters, Query};
use super::page::Paging;
use super::types::page::Page;
use super::types::replay::{Replay, ReplayFilter};
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::operate::Operator;
use crate::store::{self, MessageFilter, MessageId, ReplayId, TargetId};

/// The requested page of replays.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct ListReplays {
    /// `next_cursor` of the previous page.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub cursor: Option<ReplayId>,
    #[cfg_attr(test, param(minimum = 1, maximum = 200, default = 50))]
    pub limit: Option<u16>,
}

/// Replays of many messages, newest first.
#[cfg_attr(test, utoipa::path(get, path = "/replays", params(ListReplays), tag = "replays",
    responses((status = 200, description = "A page of replays.", body = Page<Replay>))))]
pub async fn list(
    service: web::Data<Service>,
    role: Role,
    query: Query<ListReplays>,
) -> Result<web::Json<Page<Replay>>, ApiError> {
    let paging = Paging::new(query.0.cursor, query.0.limit)?;
    let found = service.store.reads().replays(paging.cursor, paging.limit + 1).await?;
    let (found, next) = paging.of_longer(found, |replay| replay.id);
    let items = found.into_iter().map(|replay| Replay::of(replay, role)).collect();
    Ok(web::Json(Page { items, next_cursor: next.map(ReplayId::get) }))
}

/// One replay and its progress.
#[cfg_attr(test, utoipa::path(get, path = "/replays/{id}", tag = "replays",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses((status = 200, description = "The replay.", body = Replay))))]
pub async fn one(
    operator: web::Data<Operator>,
    role: Role,
    id: Id<ReplayId>,
    _: Query<NoParameters>,
) -> Result<web::Json<Replay>, ApiError> {
    Ok(web::Json(Replay::of(operator.replay(id.0).await?, role)))
}

/// Cancels a replay. Deliveries that it has created stay.
#[cfg_attr(test, utoipa::path(post, path = "/replays/{id}/cancel", tag = "replays",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The replay.", body = Replay),
        (status = 409, description = "The replay has already ended."),
    )))]
pub async fn cancel(
    operator: web::Data<Operator>,
    id: Id<ReplayId>,
    _: Query<NoParameters>,
) -> Result<web::Json<Replay>, ApiError> {
    Ok(web::Json(Replay::of(operator.cancel_replay(id.0).await?, Role::Admin)))
}

impl Replay {
    fn of(replay: store::StoredReplay, role: Role) -> Self {
        let mut filter = ReplayFilter::from(replay.filter);
        filter.q = filter.q.filter(|_| role == Role::Admin);
        Self {
            id: replay.id.get(),
            created_at: replay.created_at.to_string(),
            filter,
            target_id: replay.target.map(TargetId::get),
            rate: replay.rate,
            state: replay.state.into(),
            position: replay.position.get(),
            through: replay.through.get(),
            messages: replay.messages,
            deliveries: replay.deliveries,
            updated_at: replay.updated_at.to_string(),
        }
    }
}

impl From<MessageFilter> for ReplayFilter {
    fn from(filter: MessageFilter) -> Self {
        let MessageFilter { ids, since, until, source, event, owner, q, dead, dead_at: _ } = filter;
        Self {
            ids: ids.into_iter().map(MessageId::get).collect(),
            since: since.map(|at| at.to_string()),
            until: until.map(|at| at.to_string()),
            source,
            event,
            owner,
            q: q.map(|query| query.to_string()),
            dead,
        }
    }
}
