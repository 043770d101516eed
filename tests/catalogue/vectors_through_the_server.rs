//! Every vector through the running server: the real actix app and the real store, over a socket,
//! with the vector's clock. Vectors for allowlists run only at the provider interface.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use creel::testing::Config;
use creel::testing::{App, Listeners};
use creel::testing::{KeyRequest, KeyResponse, Roots};
use rusqlite::{Connection, OptionalExtension};
use time::OffsetDateTime;

use crate::confirmations::{Api, Expected};
use crate::vector::{self, Expect, Kind, Vector};

/// The service's clock, in milliseconds since 1970.
static NOW: AtomicI64 = AtomicI64::new(0);

const PATH_PART: &str = "the-random-path-part";

/// Required settings for fetching keys. Their values are never used, because the vectors provide
/// the keys.
const FOR_FETCHING: [(&str, &[(&str, &str)]); 3] = [
    ("plaid", &[("client_id", "none"), ("api_secret", "none")]),
    ("fusionauth", &[("base_url", "https://auth.example.com")]),
    ("ebay", &[("app_credentials", "none")]),
];

fn clock() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(NOW.load(Ordering::SeqCst)) * 1_000_000).unwrap()
}

/// A source and its vectors, which have the same settings.
struct Mounted {
    name: String,
    path: String,
    vectors: Vec<Vector>,
}

fn runs_here(vector: &Vector) -> bool {
    vector.config.peer_ip.is_none() && vector.recipe().is_ok()
}

fn needs_confirmation(vector: &Vector) -> bool {
    vector.recipe().is_ok_and(|recipe| recipe.needs_confirmation())
}

/// The configuration variables of a vector's source.
fn variables(name: &str, vector: &Vector, methods: &BTreeSet<String>, api: &Api) -> BTreeMap<String, String> {
    let prefix = format!("CREEL_SOURCE_{}_", name.to_uppercase());
    let mut variables = BTreeMap::new();
    let mut set = |key: &str, value: &str| {
        variables.insert(format!("{prefix}{}", key.to_uppercase()), value.to_owned());
    };
    set("PROVIDER", vector.provider());
    for (name, values) in vector.settings() {
        for (place, value) in values.iter().enumerate() {
            // The configuration rejects empty values. The vector must be rejected with any other
            // value, too.
            let value = if value.is_empty() { "instead of nothing" } else { value };
            set(&if place == 0 { name.clone() } else { format!("{name}_{}", place + 1) }, value);
        }
    }
    if needs_confirmation(vector) {
        api.settings(name, vector).iter().for_each(|(setting, value)| set(setting, value));
        set("RATE", "1000/s");
    }
    if let Some(seconds) = vector.tolerance() {
        set("TOLERANCE", &format!("{seconds}s"));
    }
    set("URL", &vector.registered_url());
    let needed = FOR_FETCHING.iter().filter(|(provider, _)| *provider == vector.provider());
    for (name, value) in needed.flat_map(|(_, settings)| settings.iter()) {
        set(name, value);
    }
    if let Some((id, key)) =
        vector.config.keys_by_id.first_key_value().filter(|_| vector.provider() == "wechat-pay")
    {
        set("KEY_ID", id);
        set("PUBLIC_KEY", key);
    }
    if !methods.is_empty() {
        set("METHODS", &methods.iter().cloned().collect::<Vec<_>>().join(" "));
    }
    // The configuration requires a random path if nothing else authenticates the sender.
    if Config::from_vars(variables.clone()).is_err() {
        variables.insert(format!("{prefix}PATH"), PATH_PART.to_owned());
    }
    variables
}

fn mount(vectors: Vec<Vector>, api: &Api) -> (Vec<Mounted>, BTreeMap<String, String>) {
    let mut groups: BTreeMap<String, Vec<Vector>> = BTreeMap::new();
    for vector in vectors.into_iter().filter(runs_here) {
        let config = format!("{} {:?} {}", vector.provider, vector.config, vector.registered_url());
        // A source learns its secret only once, so each vector needs its own source.
        let alone =
            if vector.recipe().is_ok_and(|recipe| recipe.learns()) { vector.name.as_str() } else { "" };
        groups.entry(format!("{config} {alone}")).or_default().push(vector);
    }
    let mut variables_of_all = BTreeMap::new();
    let mut mounted = Vec::new();
    let mut patterns = Vec::new();
    for (number, vectors) in groups.into_values().enumerate() {
        let name = format!("v{number}");
        let is_taken = |method: &String| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str());
        let deliveries = vectors.iter().filter(|vector| vector.kind == Kind::Delivery);
        let methods: BTreeSet<String> =
            deliveries.map(|vector| vector.method.clone()).filter(is_taken).collect();
        let variables = variables(&name, &vectors[0], &methods, api);
        let has_path = variables.keys().any(|variable| variable.ends_with("_PATH"));
        let path =
            if has_path { format!("/webhooks/{name}/{PATH_PART}") } else { format!("/webhooks/{name}") };
        variables_of_all.extend(variables);
        patterns.extend(needs_confirmation(&vectors[0]).then(|| format!("{name}.*")));
        mounted.push(Mounted { name, path, vectors });
    }
    let mut set = |name: &str, value: String| variables_of_all.insert(name.to_owned(), value);
    if !patterns.is_empty() {
        // The target of confirmed messages; no process listens on its port.
        set("CREEL_TARGET_APP_URL", "http://127.0.0.1:1/".to_owned());
        set("CREEL_TARGET_APP_EVENTS", patterns.join(" "));
    }
    // A message to this source makes the service check the clock.
    set("CREEL_SOURCE_WAKE_PROVIDER", "none".to_owned());
    set("CREEL_SOURCE_WAKE_CONFIRM_URL", api.url("wake/{query:id}"));
    set("CREEL_SOURCE_WAKE_RATE", "1000/s".to_owned());
    (mounted, variables_of_all)
}

/// Runs the service on its own thread until the process ends.
fn start(mounted: &[Mounted], variables: BTreeMap<String, String>) -> SocketAddr {
    let known: Vec<(String, Vec<(KeyRequest, KeyResponse)>)> =
        mounted.iter().map(|source| (source.name.clone(), passed_in(source))).collect();
    let certificates: String =
        mounted.iter().flat_map(|source| &source.vectors).map(Vector::certificates).collect();
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let config = Config::from_vars(variables).unwrap();
            let listeners = Listeners::bind(&config).unwrap();
            let app = App::build(config, listeners, clock).await.unwrap();
            for (source, all) in known {
                app.preload_only(&source, all);
            }
            app.trust(Roots::from_pem(&certificates));
            sender.send(app.address()).unwrap();
            app.run(None).await.unwrap();
        });
    });
    address.recv_timeout(Duration::from_secs(60)).unwrap()
}

/// The responses that the vectors provide: keys by id and as a set, and the content at URLs.
fn passed_in(source: &Mounted) -> Vec<(KeyRequest, KeyResponse)> {
    let vector = &source.vectors[0];
    let set = vector.config.jwks.as_ref().and_then(|set| set.get("keys")).and_then(|keys| keys.as_array());
    let in_set = set.into_iter().flatten().filter_map(|key| key.get("kid")?.as_str());
    let ids = in_set.chain(vector.config.keys_by_id.keys().map(String::as_str)).map(|id| Some(id.to_owned()));
    let keys = ids.chain([None]).map(|id| KeyRequest::Key { id });
    let documents = vector.config.fetch.keys().map(|url| KeyRequest::Document(url.clone()));
    keys.chain(documents).map(|wanted| (wanted.clone(), vector.fetched(&wanted))).collect()
}

struct Reply {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn send(address: SocketAddr, source: &Mounted, vector: &Vector) -> Reply {
    let body = vector.body();
    let mark = if vector.query().is_empty() { "" } else { "?" };
    let mut head = format!(
        "{} {}{mark}{} HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: close\r\n",
        vector.method,
        source.path,
        vector.query()
    );
    for (name, value) in vector.header_lines() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status =
        line.split(' ').nth(1).unwrap_or_else(|| panic!("{}: {line:?}", vector.name)).parse().unwrap();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").filter(|_| vector.method != "HEAD");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    Reply { status, headers, body: String::from_utf8(body).unwrap() }
}

type Row = (String, Option<String>, i64);

/// The number of messages of a source, and the event, delivery id and id of the newest one.
fn stored(database: &Connection, source: &str) -> (i64, Option<Row>) {
    let count = database
        .query_row("SELECT count(*) FROM messages WHERE source = ?1", [source], |row| row.get(0))
        .unwrap();
    let newest = "SELECT event, delivery_id, id FROM messages WHERE source = ?1 ORDER BY id DESC LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let row = database.query_row(newest, [source], read).optional().unwrap();
    (count, row)
}

fn verify(
    address: SocketAddr,
    source: &Mounted,
    vector: &Vector,
    database: &Connection,
    expected: &mut Expected,
) -> Result<(), String> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit")]
    NOW.store((vector.now().unix_timestamp_nanos() / 1_000_000) as i64, Ordering::SeqCst);
    let before = stored(database, &source.name).0;
    let reply = send(address, source, vector);
    let (after, newest) = stored(database, &source.name);
    let is_rejection = matches!(reply.status, 401 | 403 | 404 | 405 | 412 | 498 | 501);
    match (vector.expect, vector.kind) {
        (Expect::Reject, _) if is_rejection && after == before => Ok(()),
        (Expect::Accept, Kind::Delivery) if (200..=299).contains(&reply.status) => {
            let (event, id, message) = newest.ok_or("nothing was stored")?;
            if needs_confirmation(vector) {
                expected.confirmed(message);
            }
            check_own(vector, &reply, &event, id)
        }
        // The provider's API decides later whether the message is rejected.
        (Expect::Reject, Kind::Delivery) if needs_confirmation(vector) && after == before + 1 => {
            expected.refused(newest.ok_or("nothing was stored")?.2);
            Ok(())
        }
        (Expect::Accept, Kind::Handshake) => check_handshake(vector, &reply),
        _ => Err(format!("{} with {} messages more: {}", reply.status, after - before, reply.body)),
    }
}

fn check_own(vector: &Vector, reply: &Reply, event: &str, id: Option<String>) -> Result<(), String> {
    let Some(wanted) = &vector.event else { return Ok(()) };
    let event = event.split_once('.').map_or(event, |(_, kind)| kind);
    if event != wanted || Some(&id) != vector.delivery_id.as_ref() {
        return Err(format!("stored as {event:?} with id {id:?}"));
    }
    let wanted = vector.reply.as_ref().ok_or("states no reply")?;
    if reply.status == wanted.status && reply.body == wanted.body {
        return Ok(());
    }
    Err(format!("answered {} {:?}", reply.status, reply.body))
}

fn check_handshake(vector: &Vector, reply: &Reply) -> Result<(), String> {
    let wanted = vector.expect_response.as_ref().ok_or("states no response")?;
    // To answer, the service would have to fetch the URL, but a test must not use the network.
    if wanted.then_get.is_some() {
        return if reply.status == 503 { Ok(()) } else { Err(format!("answered {}", reply.status)) };
    }
    let header_agrees = |(name, value): (&String, &String)| {
        let given = reply.headers.get(&name.to_ascii_lowercase()).map(String::as_str).unwrap_or_default();
        given == value || given.split(';').next() == Some(value)
    };
    if reply.status == wanted.status && reply.body == wanted.body && wanted.headers.iter().all(header_agrees)
    {
        return Ok(());
    }
    Err(format!("answered {} {:?} {:?}", reply.status, reply.headers, reply.body))
}

#[test]
fn all_vectors_agree() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = vector::all();
    let mut wrong: Vec<String> = vectors
        .iter()
        .filter_map(|vector| vector.recipe().err().map(|problem| format!("{}: {problem}", vector.provider)))
        .collect();
    let api = Api::start();
    let (mounted, mut variables) = mount(vectors, &api);
    let database = folder.path().join("creel.db");
    variables.insert("CREEL_DATABASE".to_owned(), database.display().to_string());
    variables.insert("CREEL_LISTEN".to_owned(), "127.0.0.1:0".to_owned());
    variables.insert("CREEL_MIN_FREE".to_owned(), "1MiB".to_owned());
    // The clock jumps between vectors, so retention would delete messages.
    variables.insert("CREEL_RETENTION".to_owned(), "off".to_owned());
    NOW.store(1_760_000_000_000, Ordering::SeqCst);
    let address = start(&mounted, variables);
    let database = open(&database);
    let mut counts: BTreeMap<(Kind, Expect), usize> = BTreeMap::new();
    let mut expected = Expected::default();
    for (source, vector) in
        mounted.iter().flat_map(|source| source.vectors.iter().map(move |vector| (source, vector)))
    {
        *counts.entry((vector.kind, vector.expect)).or_default() += 1;
        if let Err(problem) = verify(address, source, vector, &database, &mut expected) {
            wrong.push(format!("{}: {}: {:?}, but {problem}", vector.provider, vector.name, vector.expect));
        }
    }
    wrong.extend(expected.problems(&database, || move_on(address)));
    println!("vectors through the server, {} sources, {} asked about:", mounted.len(), expected.count());
    for ((kind, expect), count) in counts {
        println!("  {kind:?} {expect:?}: {count}");
    }
    assert!(wrong.is_empty(), "{} vectors disagree:\n{}", wrong.len(), wrong.join("\n"));
}

/// Moves the clock ahead by two days (the longest pause of the schedule is one day), and wakes the
/// service.
fn move_on(address: SocketAddr) {
    let later = NOW.load(Ordering::SeqCst).max(2_000_000_000_000) + 2 * 86_400_000;
    NOW.store(later, Ordering::SeqCst);
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /webhooks/wake?id={later} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

fn open(database: &Path) -> Connection {
    let connection =
        Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}
