//! `creel replay`: delivers one message again, through the service or directly from this machine.

use bytes::Bytes;

use super::forward::Forwarder;
use super::output::{Failure, harmless};
use super::remote::{Address, JSON, Remote};
use super::send::block_on;
use super::show;
use crate::api::types::listener::DeliveredMessage;
use crate::api::types::message::Message;
use crate::api::types::replay::{ReplayOne, ReplayedMessage, TargetReference};

/// Message and destination.
#[derive(Debug, clap::Args)]
pub struct ReplayArguments {
    /// The message's id.
    id: u64,

    /// Send the message from this machine, instead of from the service, to this URL, such as
    /// http://localhost:3000/hooks.
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    to: Option<String>,

    /// Deliver the message to this target, by name or id, regardless of the target's events and
    /// filter; default: all targets that would receive the message today.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,

    #[command(flatten)]
    address: Address,
}

pub fn run(arguments: &ReplayArguments) -> Result<String, Failure> {
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
    let reference = |name: &str| match name.parse() {
        Ok(id) => TargetReference::Id(id),
        Err(_) => TargetReference::Name(name.to_owned()),
    };
    let request = ReplayOne { target: target.map(reference), url: None };
    let body = serde_json::to_vec(&request).map_err(|error| Failure(error.to_string()))?;
    let path = format!("/messages/{id}/replay");
    let replayed: ReplayedMessage = remote.post(&path, &[JSON], body).await?;
    if replayed.delivery_ids.is_empty() {
        return Err(Failure(format!(
            "no target accepts message {id}, so nothing is queued; name a target with --target"
        )));
    }
    let ids: Vec<String> = replayed.delivery_ids.iter().map(|id| format!("#{id}")).collect();
    Ok(format!("deliveries {} are queued; `creel show {id}` shows their outcome\n", ids.join(", ")))
}

/// Sends the message from this machine. Only a 2xx is a success.
async fn send(remote: &Remote, id: u64, forwarder: &Forwarder) -> Result<String, Failure> {
    let shown: Message = remote.get(&format!("/messages/{id}")).await?;
    let content = shown
        .content
        .ok_or_else(|| Failure("sending a message from this machine needs the admin token".to_owned()))?;
    let body = show::body(remote, id).await?;
    let message = DeliveredMessage { head: shown.head, headers: content.headers };
    let answer = forwarder.send(&message, Bytes::from(body)).await;
    let answer = answer.map_err(|error| Failure(format!("{} did not answer: {error}", forwarder.url())))?;
    let text = harmless(&String::from_utf8_lossy(&answer.response.excerpt));
    let summary =
        format!("{} after {} ms\n{}", answer.response.status, answer.took.as_millis(), text.trim_end());
    if (200..=299).contains(&answer.response.status) {
        return Ok(format!("{}\n", summary.trim_end()));
    }
    Err(Failure(format!("{} answered {}", forwarder.url(), summary.trim_end())))
}
