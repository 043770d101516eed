//! The stream of one listener: what is pending for it, in order, and no more at a time than it acknowledges.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::{rt, web};
use bytes::Bytes;
use serde::Serialize;

use super::listeners::Delivered;
use super::stream::{ALIVE, Pieces, Waiting, Woken, event};
use crate::http::service::Service;
use crate::http::streams::{Connected, Over};
use crate::store::{
    DeliveryOrdering, DiscardRequest, DueQuery, LATE_MESSAGE_TIMEOUT, ListenerSession, Unavailable,
};

/// Deliveries that are sent and not acknowledged.
const MOST_IN_FLIGHT: usize = 64;
/// Of one look into the database. What a slow client has not taken yet stays in memory, as the events that are sent.
const PAGE_BYTES: usize = 512 << 10;
/// Later than any delivery is due: a listener takes what is pending when it is there.
const END_OF_TIME: &str = "9999-12-31T23:59:59.999999Z";

pub struct Listening {
    service: web::Data<Service>,
    name: String,
    opened: ListenerSession,
    stream: Arc<Connected>,
    waiting: Waiting,
    step: Step,
    /// Deliveries, and the events that they are.
    page: VecDeque<(i64, Bytes)>,
    may_have_more: bool,
    /// Cannot be read, nor perhaps ended: left out of this stream.
    damaged: Vec<i64>,
}

enum Step {
    /// Old messages are added first, for they come before the others.
    Fill(rt::task::JoinHandle<Result<(), Unavailable>>),
    Greet,
    Deliver,
    Done,
}

/// The first event.
#[derive(Debug, Serialize)]
struct Greeting<'a> {
    name: &'a str,
    is_new: bool,
    pending: i64,
}

/// The last event, where the stream ends while somebody reads it.
#[derive(Debug, Serialize)]
struct Farewell<'a> {
    name: &'a str,
}

impl Listening {
    pub fn new(service: web::Data<Service>, name: String, opened: ListenerSession, waiting: Waiting) -> Self {
        let stream = service.streams.connect(opened.target);
        settle(&service, opened.target);
        let step = if opened.must_be_filled {
            Step::Fill(rt::spawn(fill(service.clone(), opened)))
        } else {
            Step::Greet
        };
        Self {
            service,
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

impl Pieces for Listening {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.waiting.is_ending() {
                return None;
            }
            if let Some(over) = self.stream.over() {
                return self.farewell(over);
            }
            let woken = match &mut self.step {
                Step::Done => return None,
                Step::Greet => {
                    self.step = Step::Deliver;
                    return self.greeting().await.ok();
                }
                Step::Fill(filling) => {
                    let mut filled = None;
                    let woken = self.waiting.wait(async { filled = Some(filling.await) }).await;
                    if let Some(filled) = filled {
                        // The client comes again, and what is missing is added then.
                        filled.ok()?.ok()?;
                        self.step = Step::Greet;
                    }
                    woken
                }
                Step::Deliver => match self.deliver().await {
                    Ok(Some(piece)) => return Some(piece),
                    Ok(None) => self.waiting.wait(self.stream.changed()).await,
                    Err(_) => return None,
                },
            };
            match woken {
                Woken::ToEnd => return None,
                Woken::ToSaySo => return Some(ALIVE),
                Woken::ByNews => self.may_have_more = true,
                Woken::ByOther => {}
            }
        }
    }
}

impl Listening {
    /// The next delivery, if there is one and room for it. After an error the client comes again, and gets what it has not
    /// acknowledged.
    async fn deliver(&mut self) -> Result<Option<Bytes>, Unavailable> {
        loop {
            if let Some((delivery, piece)) = self.page.pop_front() {
                self.stream.sent(delivery);
                return Ok(Some(piece));
            }
            let in_flight = self.stream.in_flight();
            let room = MOST_IN_FLIGHT.saturating_sub(in_flight.len());
            if !self.may_have_more || room == 0 {
                return Ok(None);
            }
            self.look(in_flight, room).await?;
        }
    }

    async fn look(&mut self, held: Vec<i64>, limit: usize) -> Result<(), Unavailable> {
        self.waiting.will_look();
        let query = DueQuery {
            target: self.opened.target,
            ordering: DeliveryOrdering::Any,
            now: END_OF_TIME.to_owned(),
            held: held.into_iter().chain(self.damaged.iter().copied()).collect(),
            limit,
            bytes: PAGE_BYTES,
        };
        let found = self.service.store.delivery_queue().due_deliveries(query).await?;
        let mut lost = found.orphans;
        self.damaged.extend(&found.damaged);
        lost.extend(found.damaged);
        for due in found.deliveries {
            match Delivered::new(&self.name, &due) {
                Some(delivered) => self.page.push_back((due.id, event("message", Some(due.id), &delivered))),
                None => lost.push(due.id),
            }
        }
        self.may_have_more = found.is_full || !lost.is_empty();
        if !lost.is_empty() {
            let why = "the message was cleaned up, or cannot be read".to_owned();
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
        let greeting = Greeting { name: &self.name, is_new: self.opened.is_new, pending };
        Ok(event("listening", None, &greeting))
    }

    fn farewell(&mut self, over: Over) -> Option<Bytes> {
        if matches!(self.step, Step::Done) {
            return None;
        }
        self.step = Step::Done;
        let kind = match over {
            Over::Replaced => "replaced",
            Over::Removed => "removed",
        };
        Some(event(kind, None, &Farewell { name: &self.name }))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The next connection goes on; clients that come and go must not leave work behind.
        if let Step::Fill(filling) = &self.step {
            filling.abort();
        }
        self.service.streams.disconnect(self.opened.target, &self.stream);
        settle(&self.service, self.opened.target);
    }
}

/// Adds the old messages that a new listener has asked for.
async fn fill(service: web::Data<Service>, opened: ListenerSession) -> Result<(), Unavailable> {
    let newest = service.store.reads().newest_message().await?;
    service.store.listener_registry().fill_listener(opened.target, false, (service.clock)()).await?;
    // A message that was on its way when the listener was made may have been committed behind what was looked at.
    rt::spawn(async move {
        tokio::time::sleep(LATE_MESSAGE_TIMEOUT).await;
        if let Err(why) =
            service.store.listener_registry().finish_filling(opened.target, newest, (service.clock)()).await
        {
            log::warn!("a listener's old messages are looked through again when it connects next: {why}");
        }
    });
    Ok(())
}

/// Writes down whether somebody is connected, until that is what is written.
fn settle(service: &web::Data<Service>, target: i64) {
    // When the service has stopped there is nobody to do it; the next start begins with nobody connected.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let service = service.clone();
    runtime.spawn(async move {
        loop {
            let is_connected = service.streams.is_connected(target);
            let written = service
                .store
                .listener_registry()
                .set_listener_connected(target, is_connected, (service.clock)())
                .await;
            if let Err(why) = written {
                log::warn!("whether a listener is connected could not be written: {why}");
                return;
            }
            if service.streams.is_connected(target) == is_connected {
                return;
            }
        }
    });
}
