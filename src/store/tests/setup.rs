//! A store in its own directory, and messages for it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use rusqlite::Connection;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::store::*;

pub struct Setup {
    pub directory: TempDir,
    pub runtime: tokio::runtime::Runtime,
}

impl Setup {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { directory: tempfile::tempdir().unwrap(), runtime }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("creel.db")
    }

    pub fn open(&self) -> Store {
        Store::open(&options(&self.path())).unwrap()
    }

    pub fn close(&self, store: Store) {
        self.runtime.block_on(store.close(Duration::from_secs(10)));
    }

    pub fn keep(&self, store: &Store, message: NewMessage) -> Result<Receipt, Unavailable> {
        self.runtime.block_on(store.ingest().keep(message, soon())).map_err(IngestError::unavailable)
    }

    /// Stores all messages concurrently, so that they share transactions.
    pub fn keep_all(&self, store: &Store, messages: Vec<NewMessage>) -> Vec<Result<Receipt, Unavailable>> {
        self.runtime.block_on(async {
            let local = tokio::task::LocalSet::new();
            let tasks: Vec<_> = messages
                .into_iter()
                .map(|message| {
                    let store = store.clone();
                    local.spawn_local(async move { store.ingest().keep(message, soon()).await })
                })
                .collect();
            local.await;
            let mut kept = Vec::new();
            for task in tasks {
                kept.push(task.await.unwrap().map_err(IngestError::unavailable));
            }
            kept
        })
    }

    pub fn merge_keys(&self, store: &Store) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.runtime.block_on(store.cleanup().merge_keys(MessageId::END)).unwrap() {
            assert!(Instant::now() < deadline, "the keys are not merged");
        }
    }

    pub fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        Connection::open(self.path()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Copies the files unchanged to another directory, as kill -9 would leave them. Another
    /// process copies them: closing a descriptor of the database here would drop its locks.
    pub fn crash_copy(&self) -> Setup {
        let copy = Setup::new();
        for suffix in ["", "-wal", ".key"] {
            let from = format!("{}{suffix}", self.path().display());
            let to = format!("{}{suffix}", copy.path().display());
            assert!(Command::new("cp").args([from, to]).status().unwrap().success());
        }
        copy
    }
}

pub fn options(path: &Path) -> StoreOptions {
    StoreOptions { path: path.to_owned(), key: None, checkpoint: true, min_free_bytes: 0, search: None }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn message(identity: Identity, body: &str) -> NewMessage {
    NewMessage {
        received_at: OffsetDateTime::now_utc(),
        source: "github".into(),
        event: "github.push".to_owned(),
        identity,
        method: "POST".to_owned(),
        query: None,
        remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        headers: "{}".to_owned(),
        body_sha256: digest(&SHA256, body.as_bytes()).as_ref().try_into().unwrap(),
        content: MessageContent::Json(Bytes::copy_from_slice(body.as_bytes())),
        body_unsigned: false,
        owner: None,
        unverified: false,
        confirmation_request: None,
    }
}

pub fn with_id(id: &str, body: &str) -> NewMessage {
    message(Identity::DeliveryId(id.to_owned()), body)
}
