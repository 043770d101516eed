//! Rejections: requests that failed authentication, with their causes, re-verification and release.

pub mod explanation;
pub mod recheck;

pub use recheck::{recheck, recheck_all, release, release_all};

use actix_web::{HttpResponse, web};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::error::ApiError;
use super::input::{self, Id, NoParameters, Query};
use super::messages::download;
use super::page::Paging;
use super::selection::rejection_search;
use super::types::page::SearchPage;
use super::types::rejection::{Rejection, RejectionContent, RejectionHead};
#[cfg(test)]
use super::types::schemas;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::operate::{Operator, Problem, RejectionCriteria, UNKNOWN_CAUSE, cause_of, explanation};
use crate::store::{self, MessageFilter, RejectionId, headers};
use crate::verification::{Sources, cause_may_concern_url};

/// Limit on the body bytes that are shown; the download has them all.
const MAX_SHOWN_BYTES: usize = 64 << 10;

/// Filters of the rejection list. A rejection must match all of them.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct ListRejections {
    /// `next_cursor` of the previous page.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub cursor: Option<RejectionId>,
    #[cfg_attr(test, param(minimum = 1, maximum = 200, default = 50))]
    pub limit: Option<u16>,
    #[cfg_attr(test, param(schema_with = schemas::name))]
    pub source: Option<String>,
    /// Cause of the rejection, e.g. `signature_mismatch`.
    #[cfg_attr(test, param(schema_with = schemas::name))]
    pub cause: Option<String>,
    /// Received at or after: a time such as `2026-11-22T14:31:00Z`, or an age such as `2h`.
    #[cfg_attr(test, param(schema_with = schemas::time))]
    pub since: Option<String>,
    /// Received before: same format as `since`.
    #[cfg_attr(test, param(schema_with = schemas::time))]
    pub until: Option<String>,
    /// A query in the language for messages, such as `.order:17 is:rejected`, see docs/search.md.
    /// The read token can search only by source, event, time and state.
    #[cfg_attr(test, param(schema_with = schemas::query))]
    pub q: Option<String>,
}

impl From<ListRejections> for RejectionCriteria {
    fn from(query: ListRejections) -> Self {
        let ListRejections { cursor: _, limit: _, source, cause, since, until, q: _ } = query;
        Self { source, cause, since, until }
    }
}

/// Requests that failed authentication, newest first.
///
/// The names in `q` are checked as for messages: on the first page, a target that does not exist is
/// an error (`unknown_name`) and, if no rejection matches, so is an unknown source or event.
#[cfg_attr(test, utoipa::path(get, path = "/rejections", params(ListRejections), tag = "rejections",
    responses(
        (status = 200, description = "A page of rejections.", body = SearchPage<RejectionHead>),
        (status = 404, description = "A source, event or target in `q` is unknown (`unknown_name`)."),
    )))]
pub async fn list(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    sources: web::Data<Sources>,
    role: Role,
    query: Query<ListRejections>,
) -> Result<web::Json<SearchPage<RejectionHead>>, ApiError> {
    let Query(mut query) = query;
    let paging = Paging::new(query.cursor, query.limit)?;
    let q = query.q.take();
    let search = rejection_search(&operator, role, query.into(), q)?;
    let named = MessageFilter { q: search.q.clone(), ..MessageFilter::default() };
    let found = service.store.reads().rejections(search, paging.cursor, paging.limit).await?;
    if paging.cursor.is_none() {
        operator.check_names(&named, found.rejections.is_empty() && found.next.is_none()).await?;
    }
    Ok(web::Json(SearchPage {
        items: found.rejections.into_iter().map(|head| RejectionHead::of(&sources, head)).collect(),
        next_cursor: found.next.map(RejectionId::get),
        complete: !found.is_cut,
        looked_back_to: found.looked_back_to.map(|at| at.to_string()),
        matching_rejections: None,
    }))
}

/// One rejection; for the admin token also its content.
#[cfg_attr(test, utoipa::path(get, path = "/rejections/{id}", tag = "rejections",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses((status = 200, description = "The rejection.", body = Rejection))))]
pub async fn one(
    operator: web::Data<Operator>,
    sources: web::Data<Sources>,
    role: Role,
    id: Id<RejectionId>,
    _: Query<NoParameters>,
) -> Result<web::Json<Rejection>, ApiError> {
    let stored = operator.rejection(id.0).await?;
    let content = match role {
        Role::Admin => Some(RejectionContent::of(&stored)?),
        Role::Listener | Role::Reader => None,
    };
    Ok(web::Json(Rejection { head: RejectionHead::of(&sources, stored.head), content }))
}

/// The exact bytes of a rejected request's body, as a download like that of a message.
#[cfg_attr(test, utoipa::path(get, path = "/rejections/{id}/body", tag = "rejections",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The body.", body = Vec<u8>, content_type = "application/octet-stream",
            headers(("Content-Disposition" = String), ("X-Creel-Content-Type" = String))),
        (status = 409, description = "The body was not stored."),
    )))]
pub async fn body(
    operator: web::Data<Operator>,
    role: Role,
    id: Id<RejectionId>,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    role.must_be_admin("the content of rejections")?;
    let stored = operator.rejection(id.0).await?;
    let body = stored.body.ok_or(Problem::BodyNotKept)?;
    Ok(download(&format!("rejection-{}", id.0), &stored.headers, body))
}

impl RejectionContent {
    fn of(stored: &store::StoredRejection) -> Result<Self, ApiError> {
        let body = stored.body.as_deref().unwrap_or_default();
        let shown = &body[..body.len().min(MAX_SHOWN_BYTES)];
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // The truncation may have split the last character.
            Err(error) if error.error_len().is_none() && shown.len() < body.len() => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        Ok(Self {
            query: stored.query.clone(),
            headers: headers::raw_json(&stored.headers).ok_or(ApiError::Internal)?,
            body_base64: text.is_none().then(|| BASE64_STANDARD.encode(shown)),
            body_text: text.filter(|_| stored.body.is_some()).map(str::to_owned),
        })
    }
}

impl RejectionHead {
    fn of(sources: &Sources, head: store::RejectionRow) -> Self {
        let cause = cause_of(&head.cause);
        let source = sources.find(&head.source);
        let source = source.filter(|_| cause.is_some_and(cause_may_concern_url));
        Self {
            id: head.id.get(),
            received_at: head.received_at.to_string(),
            signed_url: source.and_then(|source| source.shown_signed_url(&source.whole_path(), "")),
            source: head.source,
            explanation: cause.map_or(UNKNOWN_CAUSE, explanation).into(),
            cause: head.cause,
            candidate: head.kind == store::RejectionKind::Candidate,
            remote_ip: head.remote_ip,
            method: head.method,
            body_bytes: head.body_bytes,
        }
    }
}
