//! A database with many messages, written directly with SQL in the form in which creel would have
//! stored them: messages, their keys in sorted generations, and some pending deliveries.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use creel::testing::{
    DeliveryOrdering, DueQuery, Origin, Pattern, Store, StoreOptions, TargetDraft, TargetId, TargetKind,
    TargetSettings, TargetState, Timestamp,
};
use ring::digest::{Context, SHA256, digest};
use rusqlite::{Connection, OpenFlags, params};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::Outcome;
use crate::options::Options;
use crate::payload::{BodySize, DeliveryIds, Request};
use crate::report::median;
use crate::rows::{self, Row};
use crate::runs::{fresh_directory, sync};
use crate::server::{Kind, Server, database};

/// As in creel's `store/keys`.
const KEYS_PER_GENERATION: u64 = 32_768;
const GENERATIONS_PER_TRANSACTION: u64 = 4;
/// The messages are spread evenly over this time before now, within the default retention.
const AGE: Duration = Duration::from_secs(3 * 86_400);
/// Pending deliveries, for messages that are spread evenly over the file.
pub const PENDING: u64 = 1_000;
const CLAIMS: usize = 200;
const CLAIMED: usize = 8;

type Id = [u8; DeliveryIds::LENGTH];

#[derive(Debug)]
pub struct LargeFile {
    directory: TempDir,
    /// Paused, and subscribed to an event that is not sent.
    target: TargetId,
    /// Delivery id of the message in the middle.
    middle: (u64, Id),
}

impl LargeFile {
    /// The real server creates the schema; then `messages` messages are inserted.
    pub fn create(messages: u64, options: &Options) -> Outcome<Self> {
        let directory = fresh_directory(options)?;
        let server = Server::start(Kind::Creel, directory.path(), 0)?;
        server.wait_until_ready()?;
        server.stop()?;
        let target = create_target(directory.path())?;
        let middle = insert(&database(directory.path()), messages)?;
        sync(directory.path())?;
        Ok(Self { directory, target, middle })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn bytes(&self) -> Outcome<u64> {
        Ok(std::fs::metadata(database(self.path()))?.len())
    }

    /// Sends the message in the middle again, and checks that the server recognises it as a
    /// duplicate, so that the inserted keys have creel's form.
    pub fn check_keys(&self, server: &Server) -> Outcome<()> {
        let (message, id) = &self.middle;
        let mut request = Request::new(BodySize::Tiny, 0);
        request.set_delivery_id(id);
        let mut stream = TcpStream::connect(server.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&request.bytes)?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        let connection =
            Connection::open_with_flags(database(self.path()), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let duplicates: u64 =
            connection
                .query_row("SELECT duplicates FROM messages WHERE id = ?1", [message], |row| row.get(0))?;
        if &status != b"HTTP/1.1 204" || duplicates == 0 {
            return Err("the server did not recognise a duplicate of a message in the large file".into());
        }
        Ok(())
    }

    /// Returns the median time of a claim of 8 pending deliveries, in microseconds. No server may
    /// run.
    pub fn claim(&self) -> Outcome<f64> {
        with_store(self.path(), async |store| {
            let mut took = Vec::with_capacity(CLAIMS);
            for _ in 0..CLAIMS {
                let query = DueQuery {
                    target: self.target,
                    ordering: DeliveryOrdering::Any,
                    now: Timestamp::from(OffsetDateTime::now_utc()),
                    held: Vec::new(),
                    limit: CLAIMED,
                    bytes: 1 << 20,
                };
                let begin = Instant::now();
                let page = store.delivery_queue().due_deliveries(query).await?;
                took.push(begin.elapsed().as_secs_f64() * 1e6);
                if page.deliveries.len() != CLAIMED {
                    return Err("a claim did not return 8 deliveries".into());
                }
            }
            Ok(median(&took))
        })
    }
}

fn with_store<T>(directory: &Path, work: impl AsyncFnOnce(&Store) -> Outcome<T>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&StoreOptions {
            path: database(directory),
            key: None,
            checkpoint: true,
            min_free_bytes: 1,
            search: None,
        })?;
        let result = work(&store).await;
        store.close(Duration::from_secs(10)).await;
        result
    })
}

fn create_target(directory: &Path) -> Outcome<TargetId> {
    let settings = TargetSettings {
        name: "paused".to_owned(),
        owner: None,
        events: vec![Pattern::new("github.push")],
        filter: None,
        url: Some("http://127.0.0.1:9/".to_owned()),
        content_type: None,
        concurrency: 8,
        ordering: DeliveryOrdering::Any,
        rate: None,
        timeout: Duration::from_secs(30),
    };
    let draft = TargetDraft { kind: TargetKind::Http, origin: Origin::Api, settings, secrets: None };
    with_store(directory, async |store| {
        let now = OffsetDateTime::now_utc();
        let registry = store.target_registry();
        let target = registry.create_target(draft, now).await?;
        registry.set_target_state(target, TargetState::Paused, None, now).await?;
        Ok(target)
    })
}

/// Inserts the messages, their keys and the deliveries without a journal and without syncs. Returns
/// the message in the middle and its delivery id.
fn insert(path: &Path, messages: u64) -> Outcome<(u64, Id)> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -64_000)?;
    let request = Request::new(BodySize::Tiny, 0);
    let headers = rows::headers_as_json(request.headers.iter().map(|(name, value)| (*name, value.as_str())))?;
    let body_sha256 = digest(&SHA256, request.body.as_bytes());
    let end = OffsetDateTime::now_utc();
    let received_at = |number: u64| {
        let age = AGE.mul_f64(1.0 - number as f64 / messages as f64);
        rows::timestamp_of(end - age)
    };
    let mut ids = DeliveryIds::new()?;
    let mut id = *b"00000000-0000-0000-0000-000000000000";
    let mut middle = (messages.div_ceil(2), id);
    let mut number = 0;
    let mut keys = Vec::with_capacity(KEYS_PER_GENERATION as usize);
    let mut generation = 0;
    while number < messages {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..GENERATIONS_PER_TRANSACTION {
            keys.clear();
            generation += 1;
            while number < messages && keys.len() < KEYS_PER_GENERATION as usize {
                number += 1;
                ids.write(&mut id);
                if number == middle.0 {
                    middle.1 = id;
                }
                let row = Row {
                    received_at: &received_at(number)?,
                    delivery_id: std::str::from_utf8(&id)?,
                    body_sha256: body_sha256.as_ref(),
                    headers: &headers,
                    payload: &request.body,
                };
                row.insert(&connection)?;
                keys.push((key(&id), number));
            }
            if !keys.is_empty() {
                keys.sort_unstable();
                insert_keys(
                    &connection,
                    generation,
                    &keys,
                    &body_sha256.as_ref()[..16],
                    &received_at(number)?,
                )?;
            }
        }
        connection.execute_batch("COMMIT")?;
        if number % (KEYS_PER_GENERATION * 32) == 0 {
            eprintln!("  {number} of {messages} messages inserted");
        }
    }
    insert_deliveries(&connection, messages)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(middle)
}

/// The key of a message with a delivery id, as creel computes it.
fn key(id: &Id) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in [b"id".as_slice(), b"github", id] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&context.finish().as_ref()[..16]);
    key
}

fn insert_keys(
    connection: &Connection,
    generation: i64,
    keys: &[([u8; 16], u64)],
    body_digest: &[u8],
    newest_at: &str,
) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO delivery_keys (generation, key, message_id, body_digest) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut newest = 0;
    for (key, message) in keys {
        statement.execute(params![generation, key, message, body_digest])?;
        newest = newest.max(*message);
    }
    connection.execute(
        "INSERT INTO key_generations (generation, keys, merged_through, newest_at) VALUES (?1, ?2, ?3, ?4)",
        params![generation, keys.len() as u64, newest, newest_at],
    )?;
    Ok(())
}

fn insert_deliveries(connection: &Connection, messages: u64) -> Outcome<()> {
    let now = rows::timestamp()?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for number in 0..PENDING {
        connection
            .prepare_cached(
                "INSERT INTO deliveries (message_id, target_id, created_at, due_at)
                 SELECT ?1, id, ?2, ?2 FROM targets WHERE name = 'paused'",
            )?
            .execute(params![1 + number * messages / PENDING, now])?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}
