//! A store with a target, and messages for it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use creel::testing::{
    DeliveryOrdering, Identity, MessageContent, NewMessage, Origin, Pattern, Store, StoreOptions,
    StoredSecret, TargetDraft, TargetId, TargetKind, TargetSecrets, TargetSettings,
};
use creel::testing::{DeliverySettings, DeliveryThread};
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

use crate::Outcome;

pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const HEADERS: &str = r#"{"accept":"*/*","content-length":"1000","content-type":"application/json","host":"hooks.example.com","user-agent":"GitHub-Hookshot/044aadd","x-github-delivery":"72d3162e-cc78-11e3-81ab-4c9367dc0958","x-github-event":"issues","x-github-hook-id":"292430182","x-github-hook-installation-target-id":"79929171","x-github-hook-installation-target-type":"repository","x-hub-signature-256":"sha256=d57c68ca6f92289e6987922ff26938930f6e66a2d161ef06abdf1859230aa23c"}"#;

/// Returns the directory for databases, which must be on a real disk.
pub fn directory() -> Outcome<PathBuf> {
    let directory = std::env::var_os("DELIVER_DIRECTORY");
    Ok(directory.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from))
}

pub fn open(directory: &Path) -> Outcome<Store> {
    let options = StoreOptions {
        path: directory.join("creel.db"),
        key: Some(vec![7; 32]),
        checkpoint: true,
        min_free_bytes: 1,
        search: None,
    };
    Ok(Store::open(&options)?)
}

pub fn deliveries(store: &Store) -> Outcome<DeliveryThread> {
    let settings = DeliverySettings {
        declared: Vec::new(),
        environment: creel::testing::command_environment(),
        allowed: vec!["127.0.0.0/8".parse()?],
    };
    Ok(DeliveryThread::start(store.delivery_queue(), OffsetDateTime::now_utc, settings)?)
}

pub async fn target(store: &Store, name: &str, url: &str, concurrency: u32) -> Outcome<TargetId> {
    let settings = TargetSettings {
        name: name.to_owned(),
        owner: None,
        events: vec![Pattern::new("*")],
        filter: None,
        url: Some(url.to_owned()),
        content_type: None,
        concurrency,
        ordering: DeliveryOrdering::Any,
        rate: None,
        timeout: Duration::from_secs(30),
    };
    let secrets = vec![StoredSecret { secret: SECRET.to_owned(), until: None }];
    let new = TargetDraft {
        kind: TargetKind::Http,
        origin: Origin::Api,
        settings,
        secrets: Some(TargetSecrets { secrets, headers: Vec::new() }),
    };
    Ok(store.target_registry().create_target(new, OffsetDateTime::now_utc()).await?)
}

/// A JSON body of 1,000 bytes.
pub fn body() -> Bytes {
    let mut body = r#"{"action":"opened","issue":{"title":"A title","body":""#.to_owned();
    while body.len() < 996 {
        body.push('x');
    }
    body.push_str("\"}}");
    Bytes::from(body)
}

pub fn message(body: &Bytes) -> NewMessage {
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, body).as_ref());
    NewMessage {
        received_at: OffsetDateTime::now_utc(),
        source: "github".into(),
        event: "github.issues.opened".to_owned(),
        owner: None,
        identity: Identity::None,
        method: "POST".to_owned(),
        query: None,
        remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        headers: HEADERS.to_owned(),
        content: MessageContent::Json(body.clone()),
        body_sha256,
        body_unsigned: false,
        unverified: false,
        confirmation_request: None,
    }
}

/// Stores `count` messages, many concurrently.
pub async fn fill(store: &Store, count: usize) -> Outcome<()> {
    const MAX_BATCH: usize = 256;
    let (body, ingest) = (body(), store.ingest());
    let mut left = count;
    while left > 0 {
        let now = left.min(MAX_BATCH);
        let kept = (0..now).map(|_| ingest.keep(message(&body), Instant::now() + Duration::from_secs(60)));
        for kept in futures_util::future::join_all(kept).await {
            kept?;
        }
        left -= now;
    }
    Ok(())
}
