//! The two handlers that creel is compared with. The benchmark starts itself again as a child
//! process for each of them.

use std::path::PathBuf;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use r2d2_sqlite::SqliteConnectionManager;
use ring::digest::{SHA256, digest};
use ring::hmac;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::de::IgnoredAny;

use crate::Outcome;
use crate::payload::{PATH, SECRET};
use crate::rows::{self, Row};

/// First argument of a child process that runs one of these handlers.
pub const SERVE: &str = "--serve";
const CONNECTIONS_OF_THE_POOL: u32 = 10;
const LARGEST_BODY: usize = 25 * 1024 * 1024;
/// Same value as creel's own timeout, so that no idle connection is closed during a run.
const KEEP_ALIVE: Duration = Duration::from_secs(150);

type Pool = r2d2::Pool<SqliteConnectionManager>;

/// Runs a server. Arguments: the number of workers and, for the handler with one transaction per
/// request, the path of the database.
pub fn serve(arguments: &[String]) -> Outcome<()> {
    // Without this the server would outlive a killed benchmark.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let workers = arguments.first().ok_or("the number of workers is missing")?.parse()?;
    let pool = arguments.get(1).map(|path| open_pool(path.into())).transpose()?;
    actix_web::rt::System::new().block_on(run(workers, pool))
}

fn open_pool(path: PathBuf) -> Outcome<Pool> {
    rows::create(&path)?;
    let manager = SqliteConnectionManager::file(path).with_init(|connection| rows::prepare(connection));
    Ok(r2d2::Pool::builder().max_size(CONNECTIONS_OF_THE_POOL).build(manager)?)
}

async fn run(workers: usize, pool: Option<Pool>) -> Outcome<()> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(web::PayloadConfig::new(LARGEST_BODY))
            .app_data(Data::new(key.clone()))
            .app_data(Data::new(pool.clone()));
        if pool.is_some() {
            app.route(PATH, web::post().to(store))
        } else {
            app.route(PATH, web::post().to(check))
        }
    });
    let server = server.workers(workers).keep_alive(KEEP_ALIVE).bind(("127.0.0.1", 0))?;
    for address in server.addrs() {
        eprintln!("listening on http://{address}");
    }
    Ok(server.run().await?)
}

/// The bare handler: body, HMAC, JSON check, reply.
async fn check(request: HttpRequest, body: Bytes, key: Data<hmac::Key>) -> HttpResponse {
    HttpResponse::new(verify(&request, &body, &key))
}

/// The storing handler: one transaction per request, with a pooled connection on a blocking thread.
async fn store(
    request: HttpRequest,
    body: Bytes,
    key: Data<hmac::Key>,
    pool: Data<Option<Pool>>,
) -> HttpResponse {
    let status = verify(&request, &body, &key);
    if status != StatusCode::NO_CONTENT {
        return HttpResponse::new(status);
    }
    let headers = request.headers().iter();
    let headers =
        rows::headers_as_json(headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or(""))));
    let delivery_id = header(&request, "x-github-delivery").to_owned();
    let insert = move || keep(pool.as_ref().as_ref(), &headers?, &delivery_id, &body);
    match web::block(insert).await {
        Ok(Ok(())) => HttpResponse::new(status),
        Ok(Err(error)) => HttpResponse::InternalServerError().body(error.to_string()),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

fn verify(request: &HttpRequest, body: &[u8], key: &hmac::Key) -> StatusCode {
    let signature = header(request, "x-hub-signature-256").strip_prefix("sha256=").and_then(from_hex);
    let is_genuine = signature.is_some_and(|signature| hmac::verify(key, body, &signature).is_ok());
    match (is_genuine, serde_json::from_slice::<IgnoredAny>(body)) {
        (false, _) => StatusCode::FORBIDDEN,
        (true, Err(_)) => StatusCode::BAD_REQUEST,
        (true, Ok(IgnoredAny)) => StatusCode::NO_CONTENT,
    }
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| (digit as char).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(bytes)
}

fn keep(pool: Option<&Pool>, headers: &str, delivery_id: &str, body: &[u8]) -> Outcome<()> {
    let mut connection = pool.ok_or("there is no pool")?.get()?;
    let body_sha256 = digest(&SHA256, body);
    let received_at = rows::timestamp()?;
    let payload = std::str::from_utf8(body)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let row =
        Row { received_at: &received_at, delivery_id, body_sha256: body_sha256.as_ref(), headers, payload };
    row.insert(&transaction)?;
    Ok(transaction.commit()?)
}
