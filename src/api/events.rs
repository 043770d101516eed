//! Events that the user's own app emits. They are messages like any other, and are stored durably
//! before the response.

use std::pin::Pin;
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, LOCATION};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use ring::digest::{SHA256, digest};

use super::error::ApiError;
use super::input::{self, NoParameters, Query};
use super::types::event::{EmittedEvent, NewEvent};
use crate::config::{self, target_rules};
use crate::http::client::client_address;
use crate::http::service::Service;
use crate::json::OFFLOAD_BYTES_MIN;
use crate::providers::json;
use crate::store::{EMITTED, Identity, MessageContent, NewMessage, Receipt};

/// The same limit as for a webhook.
const KEPT_WITHIN: Duration = Duration::from_millis(2_400);
const MAX_KEY_CHARACTERS: usize = 200;
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The bytes of a `NewEvent`, with the size limit of a webhook.
#[derive(Debug)]
pub struct EventBytes(Bytes);

impl FromRequest for EventBytes {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let service = request.app_data::<web::Data<Service>>().ok_or(ApiError::Internal)?;
            let most = service.max_body_bytes;
            input::json_bytes(&request, payload, most).await.map(Self)
        })
    }
}

/// Emits an event. The response is sent after the event is stored durably.
///
/// With an idempotency key, a client can safely repeat a request that got no response: the event is
/// stored once. Keys are kept per owner as long as messages are, and for at least seven days.
#[utoipa::path(post, path = "/events", tag = "events", request_body = NewEvent,
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!#-~]{1,200}$", nullable = false,
        description = "Up to 200 visible ASCII characters, as they are or as a quoted string.")),
    responses(
        (status = 202, description = "It is a message now, on its way to its targets.", body = EmittedEvent),
        (status = 200, description = "It was emitted before with this key: the message of then.", body = EmittedEvent,
            headers(("Idempotent-Replayed" = String, description = "`true`"))),
        (status = 422, description = "The event is not declared, or the key was used for another one."),
    ))]
pub async fn emit(
    service: web::Data<Service>,
    request: HttpRequest,
    _: Query<NoParameters>,
    body: EventBytes,
) -> Result<HttpResponse, ApiError> {
    let event = read_where_it_fits(body.0).await?;
    refuse_undeclared(&service, &event.event)?;
    let key = idempotency_key(request.headers())?;
    let is_keyed = key.is_some();
    let remote_ip = client_address(&service.proxies, &request).ok_or(ApiError::Internal)?;
    let message = NewMessage {
        received_at: (service.clock)(),
        source: EMITTED.into(),
        event: event.event.clone(),
        identity: key
            .map_or(Identity::None, |key| Identity::IdempotencyKey(owned(key, event.owner.as_deref()))),
        owner: event.owner.clone(),
        method: request.method().as_str().to_owned(),
        query: None,
        remote_ip,
        headers: r#"{"content-type":"application/json"}"#.to_owned(),
        content: MessageContent::Json(event.payload.clone()),
        body_sha256: event.sha256,
        body_unsigned: false,
        unverified: false,
        asking: None,
    };
    match service.store.ingest().keep(message, Instant::now() + KEPT_WITHIN).await? {
        Receipt::Duplicate { of } if is_keyed => {
            refuse_another_event(&service, of, &event).await?;
            Ok(HttpResponse::Ok().insert_header((REPLAYED, "true")).json(EmittedEvent { id: of }))
        }
        receipt => {
            let id = receipt.id();
            let location = (LOCATION, format!("/api/v1/messages/{id}"));
            Ok(HttpResponse::Accepted().insert_header(location).json(EmittedEvent { id }))
        }
    }
}

/// A validated event.
#[derive(Debug)]
struct Event {
    event: String,
    owner: Option<String>,
    payload: Bytes,
    sha256: [u8; 32],
}

/// Parses small bodies here, and large ones on a blocking thread.
async fn read_where_it_fits(body: Bytes) -> Result<Event, ApiError> {
    if body.len() < OFFLOAD_BYTES_MIN {
        return read(&body);
    }
    web::block(move || read(&body)).await.map_err(|_| ApiError::Internal)?
}

fn read(body: &Bytes) -> Result<Event, ApiError> {
    let event: NewEvent<'_> = input::parse_json(body)?;
    input::name("event", &event.event)?;
    if let Some(error) = event.owner.as_deref().and_then(|owner| target_rules::check_owner(owner).err()) {
        return Err(ApiError::InvalidValue { field: "owner", problem: error.to_string() });
    }
    let payload = event.payload.get().as_bytes();
    if !json::accepts(payload) {
        let problem = "is nested more than 127 levels deep".to_owned();
        return Err(ApiError::InvalidValue { field: "payload", problem });
    }
    // A slice of the body: it is not copied, and its budget permit stays held.
    let payload = body.slice_ref(payload);
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, &payload).as_ref());
    Ok(Event { event: event.event, owner: event.owner, payload, sha256 })
}

fn refuse_undeclared(service: &Service, event: &str) -> Result<(), ApiError> {
    let declared = &service.known_events.emitted;
    if declared.iter().any(|declared| declared == event) {
        return Ok(());
    }
    Err(ApiError::UndeclaredEvent(format!(
        "{} is no declared event: add it to CREEL_EVENTS, which has {}",
        config::shown(event),
        if declared.is_empty() { "none".to_owned() } else { declared.join(" ") }
    )))
}

/// Rejects an event whose key was used with other content; the store compares payloads only.
async fn refuse_another_event(service: &Service, of: i64, event: &Event) -> Result<(), ApiError> {
    // The message was deleted before its key, so there is nothing to compare with.
    let Some(before) = service.store.reads().message(of).await? else { return Ok(()) };
    let is_same = before.head.event == event.event && before.head.owner == event.owner;
    if is_same { Ok(()) } else { Err(ApiError::IdempotencyKeyReused(of)) }
}

/// Prefixes the key with its owner. Keys contain no space, so different pairs never produce the
/// same text.
fn owned(key: String, owner: Option<&str>) -> String {
    owner.map_or(key.clone(), |owner| format!("{owner} {key}"))
}

/// draft-ietf-httpapi-idempotency-key-header quotes the key; most clients send it bare.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let wrong = || {
        ApiError::InvalidHeader(format!(
            "Idempotency-Key: must be one value of 1 to {MAX_KEY_CHARACTERS} visible ASCII characters."
        ))
    };
    let mut values = headers.get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| wrong())?.trim();
    let quoted =
        text.strip_prefix('"').map(|rest| rest.strip_suffix('"').filter(|key| !key.contains(['"', '\\'])));
    let key = quoted.unwrap_or(Some(text)).ok_or_else(wrong)?;
    let fits =
        (1..=MAX_KEY_CHARACTERS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits || values.next().is_some() {
        return Err(wrong());
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn key(values: &[&'static str]) -> Result<Option<String>, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(IDEMPOTENCY_KEY), HeaderValue::from_static(value));
        }
        idempotency_key(&headers)
    }

    #[test]
    fn idempotency_key_is_accepted_bare_or_quoted() {
        assert_eq!(key(&[]), Ok(None));
        for value in ["order-17", "\"order-17\"", " order-17 "] {
            assert_eq!(key(&[value]), Ok(Some("order-17".to_owned())), "{value}");
        }
        for values in [&[""][..], &["\""], &["\"\""], &["a b"], &["\"a\\\"b\""], &["a", "a"]] {
            assert!(key(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn keys_of_different_owners_never_collide() {
        let all = [
            owned("a".to_owned(), None),
            owned("a".to_owned(), Some("x")),
            owned("a".to_owned(), Some("x y")),
            owned("y".to_owned(), Some("x a")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
