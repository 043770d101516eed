//! Sources: the configured senders, their endpoints, and their recent messages.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::input::{NoParameters, Query};
use super::page::Page;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::store::SourceNumbers;
use crate::verification::{self, Sources};

/// One configured sender.
#[derive(Debug, Serialize, ToSchema)]
pub struct Source {
    #[schema(examples("github"))]
    pub name: String,
    /// The provider whose rules it follows.
    #[schema(examples("github"))]
    pub provider: String,
    /// Address for its messages: a URL if `CREEL_PUBLIC_URL` is set, otherwise a path. A random
    /// last part is shown to the admin token only; for the read token it is `…`.
    #[schema(examples("https://hooks.example.com/webhooks/github"))]
    pub endpoint: String,
    /// Accepted methods.
    #[schema(examples(json!(["POST"])))]
    pub methods: Vec<String>,
    /// Whether the sender's credentials cover the body, so that it cannot be changed in transit.
    pub covers_body: bool,
    /// The secret is set by a handshake that has not happened yet.
    pub waits_for_secret: bool,
    /// Null if none of the newest 20,000 messages is from it.
    #[schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z"))]
    pub last_message_at: Option<String>,
    /// Number of the newest 20,000 messages that are from it.
    pub recent_messages: i64,
    /// Rejected requests in quarantine, plus those that were only counted.
    pub rejections: i64,
}

/// All configured senders by name, on one page.
#[utoipa::path(get, path = "/sources", tag = "sources",
    responses((status = 200, description = "All sources.", body = Page<Source>)))]
pub async fn list(
    service: web::Data<Service>,
    sources: web::Data<Sources>,
    role: Role,
    _: Query<NoParameters>,
) -> Result<web::Json<Page<Source>>, ApiError> {
    let mut numbers = service.store.reads().source_numbers().await?;
    let items = sources.all().iter().map(|source| {
        let numbers = numbers.remove(&*source.name).unwrap_or_default();
        describe(&service, role, source, numbers)
    });
    Ok(web::Json(Page { items: items.collect(), next_cursor: None }))
}

fn describe(service: &Service, role: Role, source: &verification::Source, numbers: SourceNumbers) -> Source {
    let path = match role {
        Role::Admin => source.whole_path(),
        Role::Listener | Role::Reader if source.has_path_part() => format!("{}/…", source.path()),
        Role::Listener | Role::Reader => source.path().to_owned(),
    };
    let verifier = source.verifier();
    Source {
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
