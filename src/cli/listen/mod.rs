//! `creel listen`: forwards the messages of a service to a local program. A lost connection loses
//! no message: only answered messages are acknowledged, and the others stay pending in the service.

mod queue;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};

use super::following::{Following, Resume};
use super::forward::{Answer, Forwarder};
use super::output::{Failure, harmless_line, print_progress, print_to_reader};
use super::remote::{JSON, Purpose, Remote, TokenSource, understood, with_query};
use super::send::block_on;
use crate::api::types::listener::{
    Acknowledgement, AcknowledgementResult, GreetingEvent, ListenerDelivery, ProgramAnswer,
};
use crate::store::DeliveryId;
use queue::Queue;

const PAUSE: Duration = Duration::from_secs(1);
/// Failed attempts per report, while the program or the service is unavailable.
const ATTEMPTS_PER_REPORT: u32 = 30;
/// Timeout of the last acknowledgement after an interruption.
const FINAL_ACK_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_NAME_CHARACTERS: usize = 64;

/// Service, destination and filters.
#[derive(Debug, clap::Args)]
pub struct ListenArguments {
    /// The address of the service's API, such as http://127.0.0.1:9090 (CREEL_ADMIN_LISTEN);
    /// default: this machine.
    server: Option<String>,

    /// The program that receives the messages, such as http://localhost:3000/hooks.
    #[arg(long, value_name = "URL")]
    forward: String,

    /// Name under which the service tracks the received messages; default: the host's name.
    #[arg(long, value_parser = listener_name)]
    name: Option<String>,

    /// If NAME is new, also deliver messages from this time on, such as 2h (two hours
    /// ago) or 2026-11-22T14:31:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only these events, such as 'github.*'; can be given several times.
    #[arg(long, value_name = "PATTERN")]
    events: Vec<String>,

    #[command(flatten)]
    token: TokenSource,

    /// For tests: seconds of silence after which a connection is treated as dead.
    #[arg(long, hide = true, default_value_t = SILENCE_SECONDS)]
    dead_after: u64,
}

/// Three keep-alive intervals of the service.
pub const SILENCE_SECONDS: u64 = 45;

/// Runs until it is interrupted, another listener with the same name connects, or an error is
/// permanent.
pub fn run(arguments: &ListenArguments) -> Result<String, Failure> {
    let forwarder = Forwarder::new(&arguments.forward)?;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => host_name()?,
    };
    let remote = Remote::new(arguments.server.as_deref(), &arguments.token, Purpose::Listen)?;
    block_on(listen(arguments, &name, &remote, &forwarder))?
}

async fn listen(
    arguments: &ListenArguments,
    name: &str,
    remote: &Remote,
    forwarder: &Forwarder,
) -> Result<String, Failure> {
    let problem = |error: std::io::Error| Failure(format!("cannot handle signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(problem)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(problem)?;
    let queue = Queue::default();
    let ended = tokio::select! {
        ended = receive(arguments, name, remote, &queue) => ended,
        ended = forward(name, remote, forwarder, &queue) => ended,
        ended = acknowledge(name, remote, &queue) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    let answered = queue.unacknowledged_answers();
    if !answered.is_empty() {
        let last = post_acknowledgement(name, remote, &answered);
        if !matches!(tokio::time::timeout(FINAL_ACK_TIMEOUT, last).await, Ok(Ok(()))) {
            print_progress(&format!(
                "{} answered messages could not be acknowledged: they will be sent again",
                answered.len()
            ));
        }
    }
    ended.map(|()| String::new())
}

/// Reads the stream into the queue. A dead connection is detected even while the program is slow.
async fn receive(
    arguments: &ListenArguments,
    name: &str,
    remote: &Remote,
    queue: &Queue,
) -> Result<(), Failure> {
    let events = if arguments.events.is_empty() { "*".to_owned() } else { arguments.events.join(" ") };
    let path = with_query(
        &format!("/listeners/{name}/stream"),
        &[("events", Some(&events)), ("since", arguments.since.as_deref())],
    );
    let silence = Duration::from_secs(arguments.dead_after);
    let mut stream = Following::new(remote, path, Resume::ByName, silence);
    loop {
        let event = stream.next().await?;
        match event.kind.as_str() {
            "listening" => {
                let greeting: GreetingEvent = understood(&event.data)?;
                queue.connected(greeting.is_new);
                greet(arguments, &greeting, remote);
            }
            "message" => queue.add(understood(&event.data)?).await,
            "replaced" => {
                return Err(Failure(format!(
                    "another `creel listen` has connected as {name} and taken over; give each machine its own --name"
                )));
            }
            "removed" => return Err(Failure(format!("the listener {name} was removed from the service"))),
            // Event type of a newer service.
            _ => {}
        }
    }
}

fn greet(arguments: &ListenArguments, greeting: &GreetingEvent, remote: &Remote) {
    let GreetingEvent { name, is_new, pending } = greeting;
    let kind = if *is_new { "new" } else { "existing" };
    print_progress(&format!(
        "listening to {} as {name} ({kind}, {pending} pending), forwarding to {}",
        remote.base(),
        arguments.forward
    ));
    if !is_new && arguments.since.is_some() {
        print_progress(&format!(
            "--since has no effect: {name} continues at its position; use a new --name to receive older messages"
        ));
    }
}

/// Forwards one message at a time, to keep the order of the messages.
async fn forward(name: &str, remote: &Remote, forwarder: &Forwarder, queue: &Queue) -> Result<(), Failure> {
    loop {
        let (delivered, service) = queue.take().await;
        // The service discards deliveries whose message was deleted, so this one needs no
        // acknowledgement.
        let Some(body) = body_of(remote, &delivered).await? else { continue };
        let answer = answer(forwarder, &delivered, body).await;
        queue.answered(answered(delivered.delivery, &answer), service);
        if !print_to_reader(&line(&delivered, &answer)) {
            return Err(Failure(format!("the output is closed; {name} stops")));
        }
    }
}

/// Returns `None` if the service no longer has the message of this delivery.
async fn body_of(remote: &Remote, delivered: &ListenerDelivery) -> Result<Option<Bytes>, Failure> {
    if let Some(text) = &delivered.body_base64 {
        let body = STANDARD.decode(text);
        return body
            .map(|body| Some(body.into()))
            .map_err(|error| Failure(format!("the service sent invalid base64: {error}")));
    }
    let Some(url) = &delivered.body_url else { return Ok(None) };
    let mut tries = 0;
    loop {
        match remote.download(url).await {
            Ok(body) => return Ok(body.map(Bytes::from)),
            Err(failure) => {
                report_occasionally(&mut tries, &format!("cannot fetch a body, retrying: {failure}"));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns the program's answer with any status. Without an answer the request is retried, so that
/// no message is lost.
async fn answer(forwarder: &Forwarder, delivered: &ListenerDelivery, body: Bytes) -> Answer {
    let mut tries = 0;
    loop {
        match forwarder.send(&delivered.message, body.clone()).await {
            Ok(answer) => {
                if tries > 0 {
                    print_progress(&format!("{} answers again", forwarder.url()));
                }
                return answer;
            }
            Err(error) => {
                let waiting = format!("message {} is retried every second", delivered.message.head.id);
                report_occasionally(
                    &mut tries,
                    &format!("NO ANSWER from {}: {error}; {waiting}", forwarder.url()),
                );
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn answered(delivery: DeliveryId, answer: &Answer) -> ProgramAnswer {
    let excerpt = String::from_utf8_lossy(&answer.response.excerpt).into_owned();
    ProgramAnswer {
        delivery,
        status: answer.response.status,
        took_ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
        excerpt: (!excerpt.is_empty()).then_some(excerpt),
    }
}

fn report_occasionally(tries: &mut u32, text: &str) {
    if tries.is_multiple_of(ATTEMPTS_PER_REPORT) {
        print_progress(text);
    }
    *tries += 1;
}

fn line(delivered: &ListenerDelivery, answer: &Answer) -> String {
    let (hour, minute, second) = OffsetDateTime::now_utc().to_hms();
    let message = &delivered.message.head;
    format!(
        "{hour:02}:{minute:02}:{second:02}Z  {}  #{}  {}  {} ms\n",
        harmless_line(&message.event),
        message.id,
        answer.response.status,
        answer.took.as_millis()
    )
}

/// Acknowledges answered deliveries, in batches if several are ready.
async fn acknowledge(name: &str, remote: &Remote, queue: &Queue) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        let answered = queue.next_unacknowledged_answers().await;
        match post_acknowledgement(name, remote, &answered).await {
            Ok(()) => {
                let deliveries: Vec<DeliveryId> = answered.iter().map(|one| one.delivery).collect();
                queue.acknowledged(&deliveries);
                tries = 0;
            }
            Err(failure) => {
                report_occasionally(&mut tries, &format!("cannot acknowledge answers, retrying: {failure}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn post_acknowledgement(name: &str, remote: &Remote, answers: &[ProgramAnswer]) -> Result<(), Failure> {
    let deliveries: Vec<DeliveryId> = answers.iter().map(|one| one.delivery).collect();
    let acknowledgement = Acknowledgement { deliveries, answers: answers.to_vec() };
    let body = serde_json::to_vec(&acknowledgement).map_err(|error| Failure(error.to_string()))?;
    let path = format!("/listeners/{name}/acknowledge");
    let _: AcknowledgementResult = remote.post(&path, &[JSON], body).await?;
    Ok(())
}

fn listener_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=MAX_NAME_CHARACTERS).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("a name must be 1 to 64 lower-case letters, digits and hyphens".to_owned())
}

/// Returns the host's name, reduced to the characters of a listener name.
fn host_name() -> Result<String, Failure> {
    let host = rustix::system::uname();
    let name = name_from_host(&host.nodename().to_string_lossy());
    name.ok_or_else(|| {
        Failure("the name of this host is not a valid listener name; set one with --name".to_owned())
    })
}

fn name_from_host(host: &str) -> Option<String> {
    let first = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let fits = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let name: String = first.chars().map(fits).take(MAX_NAME_CHARACTERS).collect();
    let name = name.trim_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_name_is_converted_to_listener_name() {
        let rows = [
            ("Anns-MacBook-Pro.local", Some("anns-macbook-pro")),
            ("desk_7", Some("desk-7")),
            ("laptop", Some("laptop")),
            ("ü.example.com", None),
            ("", None),
        ];
        for (host, name) in rows {
            assert_eq!(name_from_host(host).as_deref(), name, "{host}");
        }
        assert_eq!(name_from_host(&"x".repeat(99)).map(|name| name.len()), Some(64));
    }
}
