//! The stream of one listener: pending deliveries in order, with a limit on unacknowledged ones.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::{rt, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::stream::{KEEP_ALIVE_COMMENT, Pieces, StreamWait, WakeReason, event};
use super::types::listener::{DeliveredMessage, FarewellEvent, GreetingEvent, ListenerDelivery};
use crate::http::service::Service;
use crate::http::streams::{ListenerConnection, StreamEnd};
use crate::request_id::{self, RequestId};
use crate::store::{
    DeliveryId, DeliveryOrdering, DiscardRequest, DueDelivery, DueQuery, LATE_MESSAGE_TIMEOUT,
    ListenerSession, ReplayId, TargetId, Timestamp, Unavailable, headers,
};

/// Maximum size of a body in an event. Longer bodies are fetched separately, so an event stays
/// small enough for a client to buffer.
const MAX_SENT_BODY_BYTES: usize = 256 << 10;
/// Limit on deliveries that are sent and not acknowledged.
const MAX_IN_FLIGHT: usize = 64;
/// Size of one database read. Events that a slow client has not read stay in memory.
const PAGE_BYTES: usize = 512 << 10;

impl ListenerDelivery {
    /// Returns `None` if the stored headers are not valid JSON, e.g. after a manual edit.
    pub fn new(listener: &str, due: &DueDelivery) -> Option<Self> {
        let message = &due.message;
        let is_short = message.body.len() <= MAX_SENT_BODY_BYTES;
        let elsewhere = || format!("/api/v1/listeners/{listener}/deliveries/{}/body", due.id);
        Some(Self {
            delivery: due.id,
            replay: due.replay.map(ReplayId::get),
            body_base64: is_short.then(|| STANDARD.encode(&message.body)),
            body_url: (!is_short).then(elsewhere),
            message: DeliveredMessage {
                headers: headers::raw_json(&message.head.headers)?,
                head: message.head.clone().into(),
            },
        })
    }
}

pub struct ListenerStream {
    service: web::Data<Service>,
    request: Option<RequestId>,
    name: String,
    opened: ListenerSession,
    stream: Arc<ListenerConnection>,
    waiting: StreamWait,
    step: ListenerStep,
    /// Delivery ids with their encoded events.
    page: VecDeque<(DeliveryId, Bytes)>,
    may_have_more: bool,
    /// Deliveries that could not be read. Dropping them may have failed, so this stream skips them.
    damaged: Vec<DeliveryId>,
}

enum ListenerStep {
    /// Adding the old messages that a new listener requested. This step is first, because the old
    /// messages precede all others.
    Fill(rt::task::JoinHandle<Result<(), Unavailable>>),
    Greet,
    Deliver,
    Done,
}

impl ListenerStream {
    pub fn new(
        service: web::Data<Service>,
        name: String,
        opened: ListenerSession,
        waiting: StreamWait,
    ) -> Self {
        let stream = service.streams.connect(opened.target);
        let request = RequestId::current();
        settle(&service, opened.target, request);
        let step = if opened.must_be_filled {
            ListenerStep::Fill(rt::spawn(request_id::for_task(fill(service.clone(), opened))))
        } else {
            ListenerStep::Greet
        };
        Self {
            service,
            request,
            name,
            opened,
            stream,
            waiting,
            step,
            page: VecDeque::new(),
            may_have_more: true,
            damaged: Vec::new(),
        }
    }
}

impl Pieces for ListenerStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.waiting.is_ending() {
                return None;
            }
            if let Some(over) = self.stream.over() {
                return self.farewell(over);
            }
            let woken = match &mut self.step {
                ListenerStep::Done => return None,
                ListenerStep::Greet => {
                    self.step = ListenerStep::Deliver;
                    return self.greeting().await.ok();
                }
                ListenerStep::Fill(filling) => {
                    let mut filled = None;
                    let woken = self.waiting.wait(async { filled = Some(filling.await) }).await;
                    if let Some(filled) = filled {
                        // After an error the client reconnects, and the missing messages are added
                        // then.
                        filled.ok()?.ok()?;
                        self.step = ListenerStep::Greet;
                    }
                    woken
                }
                ListenerStep::Deliver => match self.deliver().await {
                    Ok(Some(piece)) => return Some(piece),
                    Ok(None) => self.waiting.wait(self.stream.changed()).await,
                    Err(_) => return None,
                },
            };
            match woken {
                WakeReason::End => return None,
                WakeReason::KeepAlive => return Some(KEEP_ALIVE_COMMENT),
                WakeReason::Commit => self.may_have_more = true,
                WakeReason::Other => {}
            }
        }
    }
}

impl ListenerStream {
    /// Returns the next delivery, if one is pending and the limit allows it. After an error the
    /// client reconnects and receives all unacknowledged deliveries.
    async fn deliver(&mut self) -> Result<Option<Bytes>, Unavailable> {
        loop {
            if let Some((delivery, piece)) = self.page.pop_front() {
                self.stream.sent(delivery);
                return Ok(Some(piece));
            }
            let in_flight = self.stream.in_flight();
            let room = MAX_IN_FLIGHT.saturating_sub(in_flight.len());
            if !self.may_have_more || room == 0 {
                return Ok(None);
            }
            self.load_page(in_flight, room).await?;
        }
    }

    async fn load_page(&mut self, held: Vec<DeliveryId>, limit: usize) -> Result<(), Unavailable> {
        self.waiting.begin_read();
        let query = DueQuery {
            target: self.opened.target,
            ordering: DeliveryOrdering::Any,
            now: Timestamp::MAX,
            held: held.into_iter().chain(self.damaged.iter().copied()).collect(),
            limit,
            bytes: PAGE_BYTES,
        };
        let found = self.service.store.delivery_queue().due_deliveries(query).await?;
        let mut lost = found.orphans;
        self.damaged.extend(&found.damaged);
        lost.extend(found.damaged);
        for due in found.deliveries {
            match ListenerDelivery::new(&self.name, &due) {
                Some(delivered) => {
                    self.page.push_back((due.id, event("message", Some(due.id.get()), &delivered)))
                }
                None => lost.push(due.id),
            }
        }
        self.may_have_more = found.is_full || !lost.is_empty();
        if !lost.is_empty() {
            let why = "the message was deleted, or cannot be read".to_owned();
            let request = DiscardRequest { deliveries: lost, inactive_since: None, why };
            match self
                .service
                .store
                .delivery_queue()
                .discard_deliveries(request, (self.service.clock)())
                .await
            {
                Ok(()) | Err(Unavailable::Damaged) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    async fn greeting(&self) -> Result<Bytes, Unavailable> {
        let pending = self.service.store.reads().pending_of_listener(self.opened.target).await?;
        let greeting = GreetingEvent { name: self.name.clone(), is_new: self.opened.is_new, pending };
        Ok(event("listening", None, &greeting))
    }

    fn farewell(&mut self, over: StreamEnd) -> Option<Bytes> {
        if matches!(self.step, ListenerStep::Done) {
            return None;
        }
        self.step = ListenerStep::Done;
        let kind = match over {
            StreamEnd::Replaced => "replaced",
            StreamEnd::Removed => "removed",
        };
        Some(event(kind, None, &FarewellEvent { name: self.name.clone() }))
    }
}

impl Drop for ListenerStream {
    fn drop(&mut self) {
        // Short-lived clients must not leave the first search for old messages running; the next
        // connection continues it. Only the search for late messages runs on (see `fill`).
        if let ListenerStep::Fill(filling) = &self.step {
            filling.abort();
        }
        self.service.streams.disconnect(self.opened.target, &self.stream);
        // A stream is also dropped outside of its request's scope.
        settle(&self.service, self.opened.target, self.request);
    }
}

/// Adds the old messages that a new listener requested.
async fn fill(service: web::Data<Service>, opened: ListenerSession) -> Result<(), Unavailable> {
    let newest = service.store.reads().newest_message().await?;
    service.store.listener_registry().fill_listener(opened.target, false, (service.clock)()).await?;
    // A message in flight when the listener was created may be committed after the search has
    // passed its position.
    rt::spawn(request_id::for_task(async move {
        tokio::time::sleep(LATE_MESSAGE_TIMEOUT).await;
        if let Err(why) =
            service.store.listener_registry().finish_filling(opened.target, newest, (service.clock)()).await
        {
            log::warn!(
                "target={}: cannot add the last old messages before the listener connects again: {why}",
                opened.target
            );
        }
    }));
    Ok(())
}

/// Stores whether a client is connected, and repeats until the stored state is current or cannot be
/// written.
fn settle(service: &web::Data<Service>, target: TargetId, request: Option<RequestId>) {
    // Without a runtime the service has stopped; the next start marks all listeners as
    // disconnected.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let service = service.clone();
    runtime.spawn(request_id::for_task_of(request, async move {
        loop {
            let is_connected = service.streams.is_connected(target);
            let written = service
                .store
                .listener_registry()
                .set_listener_connected(target, is_connected, (service.clock)())
                .await;
            if let Err(why) = written {
                log::warn!("target={target}: cannot store whether the listener is connected: {why}");
                return;
            }
            if service.streams.is_connected(target) == is_connected {
                return;
            }
        }
    }));
}
