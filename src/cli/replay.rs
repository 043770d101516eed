//! `creel replay`: delivers one message again, through the service or directly from this machine.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::forward::{self, Forwarder};
use super::output::{Failure, harmless};
use super::remote::{Address, JSON, Remote};
use super::send::block_on;
use super::show;

/// Message and destination.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The message's id.
    id: u64,

    /// Send it from this machine, such as to http://localhost:3000/hooks; the service is not
    /// involved.
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    to: Option<String>,

    /// Deliver it to this target, by name or id, regardless of its events and filter; if left out,
    /// to all targets that would receive it today.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,

    #[command(flatten)]
    address: Address,
}

#[derive(Debug, Deserialize)]
struct Replayed {
    delivery_ids: Vec<i64>,
}

pub fn run(arguments: &Replay) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    match &arguments.to {
        Some(url) => {
            let forwarder = Forwarder::new(url)?;
            block_on(send(&remote, arguments.id, &forwarder))?
        }
        None => block_on(deliver(&remote, arguments.id, arguments.target.as_deref()))?,
    }
}

/// Requests a replay from the service.
async fn deliver(remote: &Remote, id: u64, target: Option<&str>) -> Result<String, Failure> {
    let target =
        target.map(|name| name.parse().map_or_else(|_| Value::from(name), |id: i64| Value::from(id)));
    let body = target.map_or_else(|| json!({}), |target| json!({ "target": target }));
    let path = format!("/messages/{id}/replay");
    let replayed: Replayed = remote.post(&path, &[JSON], body.to_string().into_bytes()).await?;
    if replayed.delivery_ids.is_empty() {
        return Err(Failure(format!(
            "no target wants message {id}: nothing was delivered; name one with --target"
        )));
    }
    let ids: Vec<String> = replayed.delivery_ids.iter().map(|id| format!("#{id}")).collect();
    Ok(format!(
        "deliveries {} are on their way; `creel show {id}` tells what becomes of them\n",
        ids.join(", ")
    ))
}

/// Sends the message from this machine. Only a 2xx is a success.
async fn send(remote: &Remote, id: u64, forwarder: &Forwarder) -> Result<String, Failure> {
    let shown: show::Message = remote.get(&format!("/messages/{id}")).await?;
    let content = shown
        .content
        .ok_or_else(|| Failure("sending a message from here needs the admin token".to_owned()))?;
    let body = show::body(remote, id).await?;
    let message = forward::Message {
        id: shown.head.id,
        source: shown.head.source,
        event: shown.head.event,
        method: shown.head.method,
        query: shown.head.query,
        headers: content.headers,
    };
    let answer = forwarder.send(&message, Bytes::from(body)).await;
    let answer = answer.map_err(|error| Failure(format!("{} did not answer: {error}", forwarder.url())))?;
    let text = harmless(&String::from_utf8_lossy(&answer.response.excerpt));
    let said =
        format!("{} after {} ms\n{}", answer.response.status, answer.took.as_millis(), text.trim_end());
    if (200..=299).contains(&answer.response.status) {
        return Ok(format!("{}\n", said.trim_end()));
    }
    Err(Failure(format!("{} answered {}", forwarder.url(), said.trim_end())))
}
