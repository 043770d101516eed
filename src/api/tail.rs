//! The live stream of all messages.

use std::collections::VecDeque;
use std::future::pending;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;

use super::error::ApiError;
use super::input::Query;
use super::selection::message_filter;
use super::stream::{KEEP_ALIVE_COMMENT, Pieces, StreamWait, WakeReason, event, response};
use super::types::listener::WatchingEvent;
use super::types::message::MessageHead;
#[cfg(test)]
use super::types::schemas;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::operate::{MessageCriteria, Operator};
use crate::store::{self, Direction, MessageFilter, MessageId, Pattern, Unavailable};

const PAGE_MESSAGES: usize = 100;
const LAST_EVENT_ID: &str = "last-event-id";

/// Parameters of the live stream.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct TailQuery {
    /// A message id: sends later messages, then live ones. `now`, the default: only new messages.
    #[cfg_attr(test, param(pattern = "^(now|[1-9][0-9]{0,17})$", example = "now"))]
    pub from: Option<String>,
    /// A query such as `event:push .amount:>100`, see docs/search.md. The read token can search
    /// only by source, event, time and state.
    #[cfg_attr(test, param(schema_with = schemas::query))]
    pub q: Option<String>,
    /// Event patterns, separated by spaces; default: all events.
    #[cfg_attr(test, param(schema_with = schemas::pattern_list))]
    pub events: Option<String>,
}

/// Streams all messages without their content, as server-sent events.
///
/// The first event is `watching`; then each message is an event `message` with its id as the
/// event's id. Messages that await confirmation by their provider are included. After a lost
/// connection, `Last-Event-ID` continues after the last event. Sources, events and targets in `q`
/// do not need to exist.
#[cfg_attr(test, utoipa::path(get, path = "/messages/stream", params(TailQuery), tag = "messages", operation_id = "stream",
    params(("Last-Event-ID" = Option<i64>, Header, description = "Instead of `from`.")),
    responses((status = 200, description = "An endless stream of events.", body = MessageHead, content_type = "text/event-stream"))))]
pub async fn stream(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    role: Role,
    request: HttpRequest,
    query: Query<TailQuery>,
) -> Result<HttpResponse, ApiError> {
    let Query(query) = query;
    let events = operator.patterns(query.events.as_deref())?;
    let criteria = MessageCriteria { q: query.q, ..MessageCriteria::default() };
    let filter = message_filter(&operator, role, criteria)?;
    let last = request.headers().get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default());
    let from: MessageId = match (last, query.from.as_deref()) {
        (Some(last), _) => last
            .parse()
            .map_err(|_| ApiError::InvalidHeader("Last-Event-ID must be the id of a message.".to_owned()))?,
        (None, None | Some("now")) => service.store.reads().newest_message().await?,
        (None, Some(from)) => from
            .parse()
            .map_err(|_| ApiError::InvalidQuery("from: must be the id of a message, or `now`".to_owned()))?,
    };
    let waiting = StreamWait::new(&service, &request)?;
    let page = VecDeque::from([event("watching", None, &WatchingEvent { from: from.get() })]);
    Ok(response(MessageStream { service, role, waiting, filter, events, from, page, may_have_more: true }))
}

struct MessageStream {
    service: web::Data<Service>,
    role: Role,
    waiting: StreamWait,
    filter: MessageFilter,
    events: Vec<Pattern>,
    from: MessageId,
    page: VecDeque<Bytes>,
    may_have_more: bool,
}

impl Pieces for MessageStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.waiting.is_ending() {
                return None;
            }
            if let Some(piece) = self.page.pop_front() {
                return Some(piece);
            }
            if self.may_have_more {
                // After an error the client reconnects and continues at its position.
                self.load_page().await.ok()?;
                if self.page.is_empty() && self.may_have_more {
                    // A long search without a match notices a disconnect only when it sends.
                    return Some(KEEP_ALIVE_COMMENT);
                }
                continue;
            }
            match self.waiting.wait(pending()).await {
                WakeReason::End => return None,
                WakeReason::KeepAlive => return Some(KEEP_ALIVE_COMMENT),
                WakeReason::Commit | WakeReason::Other => self.may_have_more = true,
            }
        }
    }
}

impl MessageStream {
    async fn load_page(&mut self) -> Result<(), Unavailable> {
        self.waiting.begin_read();
        let reads = self.service.store.reads();
        // The messages up to this one are examined if the page is the last.
        let newest = reads.newest_message().await?;
        let filter = self.filter.clone();
        let found = reads.messages(filter, Direction::OldestFirst, Some(self.from), PAGE_MESSAGES).await?;
        self.may_have_more = found.next.is_some();
        let last = found.messages.last().map(|head| head.id);
        self.from = self.from.max(found.next.unwrap_or(newest)).max(last.unwrap_or_default());
        let is_watched = |head: &store::MessageRow| self.events.iter().any(|one| one.matches(&head.event));
        let watched = found.messages.into_iter().filter(is_watched);
        let role = self.role;
        self.page =
            watched.map(|head| event("message", Some(head.id.get()), &MessageHead::of(head, role))).collect();
        Ok(())
    }
}
