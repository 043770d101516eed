//! Bad input in rows, over raw sockets: the reply, and the stored messages.

mod contents;
mod framing;
mod harmful_text;
mod heads;
mod identity;
mod limits;
mod routes;
mod signatures;
mod slow;
mod unavailable;

use std::time::Duration;

use crate::harness::sign::{self, OTHER_SECRET, SECRET};
use crate::harness::{Reply, Request, TestApp};

const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A service for many rows: sources with an HMAC scheme, with timestamps, without ids, and with
/// another secret.
fn service() -> TestApp {
    TestApp::github()
        .set("CREEL_SOURCE_STRIPE_SECRET", SECRET)
        .set("CREEL_SOURCE_STANDARD_PROVIDER", "standard-webhooks")
        .set("CREEL_SOURCE_STANDARD_SECRET", STANDARD_SECRET)
        .set("CREEL_SOURCE_OTHER_PROVIDER", "github")
        .set("CREEL_SOURCE_OTHER_SECRET", OTHER_SECRET)
        .set("CREEL_SOURCE_SHOP_PROVIDER", "token")
        .set("CREEL_SOURCE_SHOP_SECRET", SHOP_TOKEN)
        .set("CREEL_SOURCE_SHOP_HEADER", "Shop-Token")
        .set("CREEL_MAX_BODY", format!("{MAX_BODY_BYTES}"))
        .set("CREEL_BODY_BUDGET", "64MiB")
        .start()
}

/// The example of the Standard Webhooks documentation.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SHOP_TOKEN: &str = "token-of-the-shop";

/// The stored result of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    Nothing,
    /// One message with exactly the sent bytes; another test checks whether it is flagged.
    Once,
    AsJson,
    Flagged,
}

struct Row {
    name: String,
    request: Request,
    status: u16,
    stored: Storage,
}

fn row(name: impl Into<String>, request: Request, status: u16, stored: Storage) -> Row {
    Row { name: name.into(), request, status, stored }
}

/// A push with a unique delivery id.
fn push(body: impl Into<Vec<u8>>) -> Request {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    sign::github(&format!("row-{}", NUMBER.fetch_add(1, Ordering::Relaxed)), body)
}

/// Runs all rows, each on its own connection, and reports their failures together.
#[track_caller]
fn assert_rows(app: &TestApp, rows: &[Row]) {
    let problems: Vec<String> = rows.iter().filter_map(|row| problem_of(app, row)).collect();
    assert!(problems.is_empty(), "{} of {} rows:\n{}", problems.len(), rows.len(), problems.join("\n"));
    assert_eq!(app.get("/healthz").status, 200, "the service is alive after the rows");
}

fn problem_of(app: &TestApp, row: &Row) -> Option<String> {
    let last_id = "SELECT coalesce(max(id), 0) FROM messages";
    let before: i64 = app.database().value(last_id);
    let reply = match send(app, &row.request) {
        Ok(reply) => reply,
        Err(error) => return Some(format!("{}: no reply: {error}", row.name)),
    };
    if reply.status != row.status {
        return Some(format!(
            "{}: answered {} {:?}, not {}",
            row.name,
            reply.status,
            reply.text(),
            row.status
        ));
    }
    let kept = app.database().messages_where(&format!("id > {before}"));
    match (row.stored, kept.as_slice()) {
        (Storage::Nothing, []) => None,
        (Storage::Nothing, more) => Some(format!("{}: stored {}", row.name, more.len())),
        (stored, [message]) => {
            let sent = row.request.content();
            let flag = match stored {
                Storage::AsJson => message.not_json,
                Storage::Flagged => !message.not_json,
                _ => false,
            };
            if message.body != sent || message.body_sha256 != sign::sha256(sent) {
                return Some(format!("{}: the stored bytes are not those that were sent", row.name));
            }
            flag.then(|| format!("{}: not_json is {}", row.name, message.not_json))
        }
        (_, more) => Some(format!("{}: stored {} messages, not one", row.name, more.len())),
    }
}

fn send(app: &TestApp, request: &Request) -> std::io::Result<Reply> {
    let mut connection = app.connect();
    // The service may close the connection before the whole request is sent.
    let _ = connection.write(&request.bytes());
    connection.read_within(Duration::from_secs(20))
}
