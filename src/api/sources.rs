//! Sources: the configured senders, their endpoints, and their recent messages.

use actix_web::web;

use super::error::ApiError;
use super::input::{NoParameters, Query};
use super::types::page::Page;
use super::types::source::SourceSummary;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::store::SourceNumbers;
use crate::verification::{self, Sources};

/// All configured senders, sorted by name, on one page.
#[cfg_attr(test, utoipa::path(get, path = "/sources", tag = "sources",
    responses((status = 200, description = "All sources.", body = Page<SourceSummary>))))]
pub async fn list(
    service: web::Data<Service>,
    sources: web::Data<Sources>,
    role: Role,
    _: Query<NoParameters>,
) -> Result<web::Json<Page<SourceSummary>>, ApiError> {
    let mut numbers = service.store.reads().source_numbers().await?;
    let items = sources.all().iter().map(|source| {
        let numbers = numbers.remove(&*source.name).unwrap_or_default();
        describe(&service, role, source, numbers)
    });
    Ok(web::Json(Page { items: items.collect(), next_cursor: None }))
}

fn describe(
    service: &Service,
    role: Role,
    source: &verification::Source,
    numbers: SourceNumbers,
) -> SourceSummary {
    let path = match role {
        Role::Admin => source.whole_path(),
        Role::Listener | Role::Reader if source.has_path_part() => format!("{}/…", source.path()),
        Role::Listener | Role::Reader => source.path().to_owned(),
    };
    let verifier = source.verifier();
    SourceSummary {
        name: source.name.to_string(),
        provider: source.provider.clone(),
        endpoint: format!("{}{path}", service.public_url.as_deref().unwrap_or_default()),
        methods: source.allow().split(", ").map(str::to_owned).collect(),
        covers_body: verifier.covers_body(),
        waits_for_secret: verifier.waits_for_secret(),
        last_message_at: numbers.last_message_at.map(|at| at.to_string()),
        recent_messages: numbers.recent_messages,
        rejections: numbers.rejections,
    }
}
