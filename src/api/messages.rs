//! Messages: the list, the details of one, and its exact bytes.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
};
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::input::{self, Id, NoParameters, Query};
use super::page::Paging;
use super::selection::message_filter;
use super::types::delivery::Delivery;
use super::types::message::{
    Confirmation, DeliveryNumbers, ListedMessage, Message, MessageHead, ReceivedContent,
};
use super::types::page::{MatchingRejections, SearchPage};
#[cfg(test)]
use super::types::schemas;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::operate::{MessageCriteria, Operator};
use crate::store::headers::{self, StoredHeaders};
use crate::store::{self, DeliveryFilter, Direction, MatchCount, MessageFilter, MessageId, RejectionSearch};

/// Maximum size of a payload in the details. Longer ones are omitted; clients download the body.
const MAX_SHOWN_PAYLOAD_BYTES: usize = 1 << 20;
/// Limit on the deliveries in a message's details.
const MAX_SHOWN_DELIVERIES: usize = 200;
const ORIGINAL_CONTENT_TYPE: HeaderName = HeaderName::from_static("x-creel-content-type");

/// Filters of the message list. A message must match all of them.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct ListMessages {
    /// `next_cursor` of the previous page.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub cursor: Option<MessageId>,
    #[cfg_attr(test, param(minimum = 1, maximum = 200, default = 50))]
    pub limit: Option<u16>,
    #[cfg_attr(test, param(schema_with = schemas::name))]
    pub source: Option<String>,
    /// A pattern: `*` matches any characters.
    #[cfg_attr(test, param(schema_with = schemas::pattern))]
    pub event: Option<String>,
    /// Received at or after: a time such as `2026-11-22T14:31:00Z`, or an age such as `2h`.
    #[cfg_attr(test, param(schema_with = schemas::time))]
    pub since: Option<String>,
    /// Received before: same format as `since`.
    #[cfg_attr(test, param(schema_with = schemas::time))]
    pub until: Option<String>,
    /// A query such as `event:push .amount:>100`, see docs/search.md. The read token can search
    /// only by source, event, time and state.
    #[cfg_attr(test, param(schema_with = schemas::query))]
    pub q: Option<String>,
    /// Exact text to find in the body, the query or the value of a header: the same as a quoted
    /// text in `q`. Only for the admin token.
    #[cfg_attr(test, param(min_length = 1, max_length = 1000))]
    pub text: Option<String>,
    /// Owner of emitted events. Only for the admin token.
    #[cfg_attr(test, param(schema_with = schemas::name))]
    pub owner: Option<String>,
    /// True selects messages with a dead letter: a delivery that is dead and was not replayed.
    pub dead: Option<bool>,
}

/// Messages, newest first, with the number of their deliveries.
///
/// On the first page, a target that does not exist is an error (`unknown_name`) with the nearest
/// name. If no message matches, so is a source or event that is not configured and that no message
/// has; an event with `*` never is. A source that a rejected request in quarantine has is known.
///
/// The first page of a list with a filter also has the number of rejected requests in quarantine
/// that match it (`matching_rejections`); `GET /rejections` with the same `q`, `source`, `since`
/// and `until` lists them.
#[cfg_attr(test, utoipa::path(get, path = "/messages", params(ListMessages), tag = "messages",
    responses(
        (status = 200, description = "A page of messages.", body = SearchPage<ListedMessage>),
        (status = 404, description = "A source, event or target in the filter is unknown (`unknown_name`)."),
    )))]
pub async fn list(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    role: Role,
    query: Query<ListMessages>,
) -> Result<web::Json<SearchPage<ListedMessage>>, ApiError> {
    let Query(query) = query;
    let paging = Paging::new(query.cursor, query.limit)?;
    let filter = message_filter(&operator, role, query.into())?;
    let reads = service.store.reads();
    let search = reads.messages(filter.clone(), Direction::NewestFirst, paging.cursor, paging.limit);
    let is_counted = paging.cursor.is_none() && filter != MessageFilter::default();
    let (found, matching_rejections) =
        futures_util::future::join(search, matching_rejections(&service, &filter, is_counted)).await;
    let found = found?;
    if paging.cursor.is_none() {
        operator.check_names(&filter, found.messages.is_empty() && found.next.is_none()).await?;
    }
    let ids = found.messages.iter().map(|head| head.id).collect();
    let mut counts = reads.delivery_counts(ids).await?;
    let listed = |head: store::MessageRow| ListedMessage {
        delivery_counts: counts.remove(&head.id).unwrap_or_default().into(),
        head: MessageHead::of(head, role),
    };
    Ok(web::Json(SearchPage {
        items: found.messages.into_iter().map(listed).collect(),
        next_cursor: found.next.map(MessageId::get),
        complete: !found.is_cut,
        looked_back_to: found.looked_back_to.map(|at| at.to_string()),
        matching_rejections,
    }))
}

/// Counts the rejections that a filter selects. An error, e.g. of a damaged page, does not affect
/// the list of messages.
async fn matching_rejections(
    service: &Service,
    filter: &MessageFilter,
    is_counted: bool,
) -> Option<MatchingRejections> {
    if !is_counted {
        return None;
    }
    let Some(search) = RejectionSearch::of_messages(filter) else {
        return Some(MatchingRejections { count: 0, complete: true });
    };
    let counted = service.store.reads().count_matching_rejections(search).await;
    Some(counted.map_or(MatchingRejections { count: 0, complete: false }, Into::into))
}

/// One message with its deliveries; for the admin token also with its content.
#[cfg_attr(test, utoipa::path(get, path = "/messages/{id}", tag = "messages",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses((status = 200, description = "The message.", body = Message))))]
pub async fn one(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    role: Role,
    id: Id<MessageId>,
    _: Query<NoParameters>,
) -> Result<web::Json<Message>, ApiError> {
    let stored = operator.message(id.0).await?;
    let confirmation = service.store.reads().confirmation(id.0).await?.map(Confirmation::from);
    let filter = DeliveryFilter { message: Some(id.0), ..DeliveryFilter::default() };
    let (deliveries, _) = service.store.reads().deliveries(filter, None, MAX_SHOWN_DELIVERIES).await?;
    let content = match role {
        Role::Admin => Some(ReceivedContent::of(&stored)?),
        Role::Listener | Role::Reader => None,
    };
    Ok(web::Json(Message {
        head: MessageHead::of(stored.head, role),
        // The reason can quote the provider's response.
        confirmation_details: match role {
            Role::Admin => confirmation,
            Role::Listener | Role::Reader => confirmation.map(|one| Confirmation { reason: None, ..one }),
        },
        deliveries: deliveries.into_iter().map(Delivery::from).collect(),
        content,
    }))
}

/// Asks the provider's API again to confirm a message that it did not confirm (`refused`). The
/// request uses the values that were stored when the message arrived, and the current settings of
/// the source.
///
/// Use this after correcting the source settings that prevented the confirmation. A confirmed
/// message is delivered.
#[cfg_attr(test, utoipa::path(post, path = "/messages/{id}/confirm", tag = "messages",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The message is awaiting confirmation again.", body = Confirmation),
        (status = 409, description = "The message is not `refused`, or the values for the confirmation request are not stored."),
    )))]
pub async fn confirm(
    operator: web::Data<Operator>,
    id: Id<MessageId>,
    _: Query<NoParameters>,
) -> Result<web::Json<Confirmation>, ApiError> {
    Ok(web::Json(operator.confirm_again(id.0).await?.into()))
}

/// The exact bytes of a message's body, as a download.
///
/// The content type is always `application/octet-stream`, so that browsers do not render it; the
/// sender's content type is in `X-Creel-Content-Type`. Only for the admin token.
#[cfg_attr(test, utoipa::path(get, path = "/messages/{id}/body", tag = "messages",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses((status = 200, description = "The body.", body = Vec<u8>, content_type = "application/octet-stream",
        headers(("Content-Disposition" = String), ("X-Creel-Content-Type" = String))))))]
pub async fn body(
    operator: web::Data<Operator>,
    role: Role,
    id: Id<MessageId>,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    role.must_be_admin("the content of messages")?;
    let stored = operator.message(id.0).await?;
    Ok(download(&format!("message-{}", id.0), &stored.head.headers, stored.body))
}

/// Returns untrusted bytes as a download that no browser executes. `headers`: as stored.
pub fn download(name: &str, headers: &str, body: impl Into<web::Bytes>) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::OK).body(body.into());
    let mut header = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    header(CONTENT_TYPE, "application/octet-stream");
    header(CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    header(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    let stored = StoredHeaders::parse(headers).unwrap_or_default();
    if let Some(content_type) = content_type(&stored) {
        header(ORIGINAL_CONTENT_TYPE, content_type);
    }
    response
}

/// Returns the sender's content type, if it is a valid header value.
fn content_type<'a>(stored: &'a StoredHeaders<'_>) -> Option<&'a str> {
    stored.first("content-type").filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
}

impl From<ListMessages> for MessageCriteria {
    fn from(query: ListMessages) -> Self {
        let ListMessages { cursor: _, limit: _, q, source, event, since, until, text, owner, dead } = query;
        Self { q, source, event, since, until, text, owner, is_dead: dead.unwrap_or(false) }
    }
}

impl ReceivedContent {
    fn of(message: &store::StoredMessage) -> Result<Self, ApiError> {
        let payload = message.payload();
        let payload_left_out = payload.is_some_and(|payload| payload.len() > MAX_SHOWN_PAYLOAD_BYTES);
        let shown =
            payload.filter(|_| !payload_left_out).and_then(|payload| std::str::from_utf8(payload).ok());
        // Stored JSON is valid, unless the database was edited manually.
        Ok(Self {
            headers: headers::raw_json(&message.head.headers).ok_or(ApiError::Internal)?,
            payload: shown.and_then(|payload| RawValue::from_string(payload.trim().to_owned()).ok()),
            payload_left_out,
        })
    }
}

impl MessageHead {
    /// Hides the fields that reveal content, except for the admin token. The query of a GET is
    /// content.
    pub fn of(head: store::MessageRow, role: Role) -> Self {
        match role {
            Role::Admin => Self::from(head),
            Role::Listener | Role::Reader => Self { query: None, body_sha256: None, ..Self::from(head) },
        }
    }
}

impl From<store::MessageRow> for MessageHead {
    fn from(head: store::MessageRow) -> Self {
        Self {
            id: head.id.get(),
            received_at: head.received_at.to_string(),
            source: head.source,
            event: head.event,
            owner: head.owner,
            delivery_id: head.delivery_id,
            method: head.method,
            query: head.query,
            remote_ip: head.remote_ip,
            body_sha256: Some(head.body_sha256.iter().map(|byte| format!("{byte:02x}")).collect()),
            body_bytes: head.body_bytes,
            not_json: head.not_json,
            unreadable: head.unreadable.map(|reason| reason.name().to_owned()),
            body_unsigned: head.body_unsigned,
            unverified: head.unverified,
            released_at: head.released_at.map(|at| at.to_string()),
            conflict_of: head.conflict_of.map(MessageId::get),
            duplicates: head.duplicates,
            last_duplicate_at: head.last_duplicate_at.map(|at| at.to_string()),
            confirmation: head.confirmation,
        }
    }
}

impl From<MatchCount> for MatchingRejections {
    fn from(MatchCount { count, is_complete }: MatchCount) -> Self {
        Self { count: count as u64, complete: is_complete }
    }
}

impl From<store::DeliveryCounts> for DeliveryNumbers {
    fn from(counts: store::DeliveryCounts) -> Self {
        let store::DeliveryCounts { delivered, pending, failed, dead } = counts;
        Self { delivered, pending, failed, dead }
    }
}

impl From<store::StoredConfirmation> for Confirmation {
    fn from(stored: store::StoredConfirmation) -> Self {
        let is_awaited = stored.state == store::ConfirmationState::Awaiting;
        Self {
            state: stored.state.into(),
            tries: stored.tries,
            due_at: is_awaited.then_some(stored.due_at.to_string()),
            settled_at: stored.settled_at.map(|at| at.to_string()),
            reason: stored.reason,
        }
    }
}
