//! Sources: the configured senders, where they are reached, and what has come from them.

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
    /// Whose rules it follows.
    #[schema(examples("github"))]
    pub provider: String,
    /// Where its messages arrive: a URL where `CREEL_PUBLIC_URL` is set, else a path. A random last part is shown to the
    /// admin token only; for the read token it is `…`.
    #[schema(examples("https://hooks.example.com/webhooks/github"))]
    pub endpoint: String,
    /// Those that it takes.
    #[schema(examples(json!(["POST"])))]
    pub methods: Vec<String>,
    /// Whether what proves the sender covers the body, so that nobody on the way can have changed it.
    pub covers_body: bool,
    /// A handshake is to teach its secret, and none has yet.
    pub waits_for_secret: bool,
    /// Null where none of the newest 20,000 messages is from it.
    #[schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z"))]
    pub last_message_at: Option<String>,
    /// How many of the newest 20,000 messages are from it.
    pub recent_messages: i64,
    /// Rejected requests in quarantine, and those that were only counted.
    pub rejections: i64,
}

/// All configured senders, by name; on one page.
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
        last_message_at: numbers.last_message_at,
        recent_messages: numbers.recent_messages,
        rejections: numbers.rejections,
    }
}
