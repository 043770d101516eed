//! The confirmation requests of one source: limited concurrency, a timeout for each, and a shared
//! login.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::super::schedule::{random_jitter, retry_after};
use super::answer::{ConfirmationAnswer, outcome_of};
use super::source::ConfirmationSource;
use crate::json;
use crate::outbound::{Client, RequestError, Response};
use crate::providers::{
    ByteLimit, CodingProblem, ConfirmQuery, ConfirmResult, FetchRequest, Headers, Login, charset, codings,
    decode,
};
use crate::store::{Clock, DeliveryQueue, DueConfirmation, Settlement, Unavailable};

/// Concurrent requests per source.
const CONCURRENCY: usize = 4;
/// Messages per read from the store.
const PAGE: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_ENCODING: &str = "accept-encoding";
/// Limit on an answer, both as received and decompressed.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Pause after an error of the store.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(5);
/// Minimum time between two warnings: if an API is down, every request to it fails.
const PAUSE_BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct ConfirmationLane {
    name: Arc<str>,
    /// `None` if the source is no longer configured for confirmation.
    source: Option<ConfirmationSource>,
    store: DeliveryQueue,
    client: Client,
    wake_signal: Notify,
    /// Locked while a login is being fetched, so that other requests wait for it.
    login: tokio::sync::Mutex<Option<KnownLogin>>,
    last_warning: Mutex<Option<Instant>>,
}

/// A fetched login and the time until which it is used.
#[derive(Clone, Debug)]
struct KnownLogin {
    login: Login,
    until: Instant,
}

impl ConfirmationLane {
    pub fn new(
        name: Arc<str>,
        source: Option<ConfirmationSource>,
        store: &DeliveryQueue,
        client: &Client,
    ) -> Self {
        Self {
            name,
            source,
            store: store.clone(),
            client: client.clone(),
            wake_signal: Notify::new(),
            login: tokio::sync::Mutex::default(),
            last_warning: Mutex::default(),
        }
    }

    pub fn is_of(&self, source: &str) -> bool {
        *self.name == *source
    }

    /// Signals that new confirmation requests may be due.
    pub fn wake(&self) {
        self.wake_signal.notify_one();
    }

    /// Runs until the process exits.
    pub async fn run(&self, clock: Clock) {
        loop {
            let pause = match self.run_once(clock()).await {
                Ok(next) => next.map(|next| Duration::try_from(next - clock()).unwrap_or_default()),
                Err(why) => {
                    log::warn!("source={}: pausing confirmation for {PAUSE_AFTER_ERROR:?}: {why}", self.name);
                    Some(PAUSE_AFTER_ERROR)
                }
            };
            match pause {
                Some(pause) => drop(tokio::time::timeout(pause, self.wake_signal.notified()).await),
                None => self.wake_signal.notified().await,
            }
        }
    }

    /// Sends all due requests, and returns the next due time.
    pub async fn run_once(&self, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Unavailable> {
        let began = Instant::now();
        loop {
            let now = now + began.elapsed();
            let (page, next) = self.store.due_confirmations(Arc::clone(&self.name), now, PAGE).await?;
            if page.is_empty() {
                return Ok(next);
            }
            let mut settled =
                stream::iter(page).map(|due| self.settle(due, now)).buffer_unordered(CONCURRENCY);
            while let Some(settled) = settled.next().await {
                settled?;
            }
        }
    }

    async fn settle(&self, due: DueConfirmation, now: OffsetDateTime) -> Result<(), Unavailable> {
        let began = Instant::now();
        let answer = self.answer(&due, now).await?;
        let now = now + began.elapsed();
        let outcome = outcome_of(&due, answer, now, random_jitter());
        match outcome.settlement {
            Settlement::Refused => {
                log::info!(
                    "source={} message={}: not confirmed, rejected: {}",
                    self.name,
                    due.message,
                    outcome.reason
                );
            }
            Settlement::Confirmed | Settlement::Again { .. } => {
                log::debug!("source={} message={}: {}", self.name, due.message, outcome.reason);
            }
        }
        self.store.settle_confirmation(outcome, now).await
    }

    async fn answer(
        &self,
        due: &DueConfirmation,
        now: OffsetDateTime,
    ) -> Result<ConfirmationAnswer, Unavailable> {
        let Some(source) = &self.source else {
            return Ok(ConfirmationAnswer::not_yet("the source is no longer configured for confirmation"));
        };
        let values = match due.request.as_deref().and_then(ConfirmQuery::from_text) {
            Some(ConfirmQuery::Values(values)) => values,
            Some(ConfirmQuery::Unconfirmable(reason)) => {
                return Ok(ConfirmationAnswer::Unconfirmable(reason));
            }
            None => {
                return Ok(ConfirmationAnswer::not_yet("cannot decrypt the request with this CREEL_KEY"));
            }
        };
        let mut body = Bytes::new();
        if source.confirm_api.needs_body() {
            match self.store.reads().message(due.message).await {
                Ok(Some(message)) => body = message.payload_bytes().unwrap_or(message.body),
                Ok(None) => {
                    return Ok(ConfirmationAnswer::Unconfirmable("the message was deleted".to_owned()));
                }
                Err(Unavailable::Damaged) => {
                    return Ok(ConfirmationAnswer::Unconfirmable(
                        "the message is damaged: see `creel verify`".to_owned(),
                    ));
                }
                Err(why) => return Err(why),
            }
        }
        let mut is_second = false;
        loop {
            let login = match self.login(source).await {
                Ok(login) => login,
                Err(answer) => return Ok(answer),
            };
            let call = match source.confirm_api.call(&values, &body, login.as_ref()) {
                Ok(call) => call,
                Err(error) => return Ok(ConfirmationAnswer::not_yet(error.to_string())),
            };
            let answered = self.send(call).await;
            // A login can expire early, so one new login is fetched.
            let is_closed = answered.as_ref().is_ok_and(|response| response.status == 401);
            if let Some(login) = login.filter(|_| is_closed && !is_second) {
                is_second = true;
                self.forget(&login).await;
                continue;
            }
            return Ok(match answered {
                Ok(response) => self.evaluate(source, &response, now),
                Err(error) => self.not_reached(&error),
            });
        }
    }

    fn evaluate(
        &self,
        source: &ConfirmationSource,
        response: &Response,
        now: OffsetDateTime,
    ) -> ConfirmationAnswer {
        let status = response.status;
        self.warn_of_status(source, status);
        let requested_pause = response.header("retry-after").and_then(|text| retry_after(text, now));
        let requested_pause = requested_pause.filter(|_| matches!(status, 429 | 503));
        let (body, problem) = match body_in_utf8(response) {
            Ok(body) => (body, None),
            Err(problem) => (Cow::Borrowed(&[][..]), Some(problem)),
        };
        let result = source.confirm_api.evaluate(status, &body);
        match problem {
            // The body that could not be read may be the expected one.
            Some(problem) if matches!(result, ConfirmResult::NotYet(_)) => {
                self.warn(&format!("its API answers {status}, but {problem}"));
                let reason = format!("answered {status}, but {problem}");
                ConfirmationAnswer::NotYet { reason, retry_after: requested_pause }
            }
            _ => ConfirmationAnswer::from_result(result, status, requested_pause),
        }
    }

    fn warn_of_status(&self, source: &ConfirmationSource, status: u16) {
        match status {
            401 | 403 => {
                self.warn(&format!("its API answers {status}: check {}", source.credentials.join(" and ")))
            }
            429 | 500..=599 => self.warn(&format!("its API answers {status}")),
            _ => {}
        }
    }

    fn not_reached(&self, error: &RequestError) -> ConfirmationAnswer {
        self.warn(&error.to_string());
        ConfirmationAnswer::not_yet(error.to_string())
    }

    fn warn(&self, words: &str) {
        let mut last = self.last_warning.lock();
        if last.is_some_and(|last| last.elapsed() < PAUSE_BETWEEN_WARNINGS) {
            return;
        }
        *last = Some(Instant::now());
        log::warn!("source={}: its messages cannot be confirmed now: {words}", self.name);
    }

    /// Returns the login if the API requires one, and fetches it unless a valid one is cached.
    async fn login(&self, source: &ConfirmationSource) -> Result<Option<Login>, ConfirmationAnswer> {
        let Some(call) = source.confirm_api.login() else { return Ok(None) };
        let mut known = self.login.lock().await;
        if let Some(known) = known.as_ref().filter(|known| Instant::now() < known.until) {
            return Ok(Some(known.login.clone()));
        }
        let response = self.send(call).await.map_err(|error| self.not_reached(&error))?;
        let body = body_in_utf8(&response).ok().filter(|_| (200..=299).contains(&response.status));
        let login = body.and_then(|body| source.confirm_api.logged_in(&body));
        let Some(login) = login else {
            self.warn_of_status(source, response.status);
            return Err(ConfirmationAnswer::not_yet(format!("its login answered {}", response.status)));
        };
        *known = Some(KnownLogin { until: Instant::now() + login.holds, login: login.clone() });
        Ok(Some(login))
    }

    /// Discards the login, unless another request has already replaced it.
    async fn forget(&self, login: &Login) {
        let mut known = self.login.lock().await;
        known.take_if(|known| known.login.token == login.token);
    }

    async fn send(&self, call: FetchRequest) -> Result<Response, RequestError> {
        let FetchRequest { method, url, mut headers, body } = call;
        // Without this header, a server may choose any content coding (RFC 9110, section 12.5.3).
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(ACCEPT_ENCODING)) {
            headers.push((ACCEPT_ENCODING.to_owned(), "identity".to_owned()));
        }
        self.client.request_up_to(MAX_ANSWER_BYTES, &method, &url, &headers, body, TIMEOUT).await
    }
}

/// Returns the body of an answer, decompressed, and converted to UTF-8 if it is JSON in another
/// charset. `Err`: the problem with the body.
fn body_in_utf8(response: &Response) -> Result<Cow<'_, [u8]>, &'static str> {
    let field = |name: &'static str| response.header(name).map(|value| (name, value.as_bytes()));
    let fields: Vec<(&str, &[u8])> =
        ["content-type", "content-encoding"].into_iter().filter_map(field).collect();
    let headers = Headers(&fields);
    let mut body = Cow::Borrowed(&response.body[..]);
    // Some servers declare a coding that a proxy has already removed.
    if !body.is_empty() && !json::accepts(&body) {
        let codings = codings(headers).map_err(coding_problem)?;
        if !codings.is_empty() {
            let decoded = decode(&body, &codings, &mut ByteLimit(MAX_ANSWER_BYTES));
            body = Cow::Owned(decoded.map_err(coding_problem)?);
        }
    }
    if let Some(text) = charset::json_in_utf8(&body, headers) {
        return Ok(Cow::Owned(text.into_bytes()));
    }
    match std::str::from_utf8(&body) {
        Ok(_) => Ok(body),
        Err(_) => Err("its body is neither UTF-8 nor in the charset that it declares"),
    }
}

fn coding_problem(problem: CodingProblem) -> &'static str {
    match problem {
        CodingProblem::Unknown => "it has a content coding that is not supported",
        CodingProblem::Malformed => "its body cannot be decompressed",
        CodingProblem::TooLarge | CodingProblem::NoRoom => "its body is larger than 1 MiB when decompressed",
    }
}
