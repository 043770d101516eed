//! Events that the user's own app emits. They are messages like any other, and are stored durably
//! before the response is sent.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, LOCATION};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use bytes::Bytes;

use super::error::ApiError;
use super::guard::log_message;
use super::input::{self, NoParameters, Query};
use super::types::event::{EmittedEvent, NewEvent};
use crate::http::client::client_address;
use crate::http::service::Service;
use crate::json::OFFLOAD_BYTES_MIN;
use crate::operate::{EmissionReceipt, Event, Operator};
use crate::request_id;

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
            let max_bytes = service.max_body_bytes;
            input::json_bytes(&request, payload, max_bytes).await.map(Self)
        })
    }
}

/// Emits an event. The response is sent after the event is stored durably.
///
/// With an idempotency key, a client can safely repeat a request that got no response: the event is
/// stored once. Keys are stored per owner for as long as messages, and for at least seven days.
#[cfg_attr(test, utoipa::path(post, path = "/events", tag = "events", request_body = NewEvent,
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!#-~]{1,200}$", nullable = false,
        description = "Up to 200 visible ASCII characters, bare or as a quoted string.")),
    responses(
        (status = 202, description = "The event is stored as a message and queued for its targets.", body = EmittedEvent),
        (status = 200, description = "The event was already emitted with this key; the id is that of the existing message.", body = EmittedEvent,
            headers(("Idempotent-Replayed" = String, description = "`true`"))),
        (status = 422, description = "The event is not declared, or the key was used for another event."),
    )))]
pub async fn emit(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    request: HttpRequest,
    _: Query<NoParameters>,
    body: EventBytes,
) -> Result<HttpResponse, ApiError> {
    let event = parse_event(body.0).await?;
    let key = idempotency_key(request.headers())?;
    let client = client_address(&service.proxies, &request).ok_or(ApiError::Internal)?;
    let EmissionReceipt { message: id, is_repeat } = operator.emit(event, key, client).await?;
    log_message(&request, id);
    if is_repeat {
        return Ok(HttpResponse::Ok().insert_header((REPLAYED, "true")).json(EmittedEvent { id: id.get() }));
    }
    let location = (LOCATION, format!("/api/v1/messages/{id}"));
    Ok(HttpResponse::Accepted().insert_header(location).json(EmittedEvent { id: id.get() }))
}

/// Parses small bodies on this thread, and large ones on a blocking thread.
async fn parse_event(body: Bytes) -> Result<Event, ApiError> {
    if body.len() < OFFLOAD_BYTES_MIN {
        return read(&body);
    }
    web::block(request_id::for_thread(move || read(&body))).await.map_err(|_| ApiError::Internal)?
}

fn read(body: &Bytes) -> Result<Event, ApiError> {
    let NewEvent { event, owner, payload } = input::parse_json(body)?;
    // A slice of the body: it is not copied, and its budget permit stays held.
    Ok(Event::new(event, owner, body.slice_ref(payload.get().as_bytes()))?)
}

/// Returns the key without quotes: draft-ietf-httpapi-idempotency-key-header requires them, but
/// most clients send none.
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
}
