//! Quarantine: requests that failed authentication, bounded in rows, bytes and time, and written only when no
//! message is waiting for the writer.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rusqlite::{Connection, params};
use time::{Duration, OffsetDateTime};

use super::seal::Sealer;
use super::timestamp;

/// How long a rejection is kept.
pub const KEPT_FOR: Duration = Duration::hours(24);
const ROWS_PER_SOURCE: usize = 1_000;
const BYTES_PER_SOURCE: usize = 16 << 20;
const ROWS_PER_NETWORK_AND_CAUSE: usize = 20;
/// What may wait in memory until the writer is idle.
const WAITING_ROWS: usize = 1_024;
const WAITING_BYTES: usize = 4 << 20;
/// As many as are written between two looks at the messages' queue.
const ROWS_PER_TRANSACTION: usize = 64;
const BYTES_PER_TRANSACTION: usize = 256 << 10;
/// As many as one step of the clean-up drops: a body has up to 4 MiB.
const DROPPED_IN_A_STEP: usize = 16;
/// Sources and causes that are counted; there are never more than configured sources times causes.
const COUNTERS: usize = 10_000;

/// Sealed values open under the same name only.
pub const SEALED_AS: &str = "rejection";

/// A request that failed authentication.
#[derive(Clone, Debug)]
pub struct NewRejection {
    pub received_at: OffsetDateTime,
    pub source: Arc<str>,
    /// The name of the cause: `signature_mismatch` …
    pub cause: &'static str,
    pub remote_ip: IpAddr,
    pub method: String,
    pub query: Option<String>,
    /// JSON object, credentials redacted.
    pub headers: String,
    /// `None` for address refusals.
    pub body: Option<Bytes>,
    /// The values that were redacted, as JSON; sealed before they are stored.
    pub credentials: Option<String>,
}

impl NewRejection {
    fn bytes(&self) -> usize {
        let texts = self.headers.len() + self.query.as_ref().map_or(0, String::len);
        texts + self.body.as_ref().map_or(0, Bytes::len) + self.credentials.as_ref().map_or(0, String::len)
    }
}

/// The client network that bounds are kept for: /24 of IPv4, /64 of IPv6.
pub fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// What waits to be written. Shared by the request handlers and the writer.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: Mutex<(VecDeque<NewRejection>, usize)>,
    uncounted: Mutex<HashMap<(Arc<str>, &'static str), u64>>,
}

impl Waiting {
    /// Never waits; what does not fit is only counted. True when the writer should be woken.
    pub fn add(&self, rejection: NewRejection) -> bool {
        let Ok(mut queue) = self.queue.lock() else { return false };
        let (rows, bytes) = &mut *queue;
        if rows.len() >= WAITING_ROWS || *bytes + rejection.bytes() > WAITING_BYTES {
            drop(queue);
            self.count(&rejection.source, rejection.cause);
            return false;
        }
        *bytes += rejection.bytes();
        // A copy: what waits here must not hold on to the budget for bodies in flight.
        let body = rejection.body.as_deref().map(Bytes::copy_from_slice);
        rows.push_back(NewRejection { body, ..rejection });
        rows.len() == 1
    }

    fn count(&self, source: &Arc<str>, cause: &'static str) {
        if let Ok(mut counts) = self.uncounted.lock()
            && (counts.len() < COUNTERS || counts.contains_key(&(source.clone(), cause)))
        {
            *counts.entry((source.clone(), cause)).or_default() += 1;
        }
    }

    fn take(&self) -> Vec<NewRejection> {
        let Ok(mut queue) = self.queue.lock() else { return Vec::new() };
        let (rows, bytes) = &mut *queue;
        let mut taken = Vec::new();
        let mut taken_bytes = 0;
        while taken.len() < ROWS_PER_TRANSACTION && taken_bytes < BYTES_PER_TRANSACTION {
            let Some(rejection) = rows.pop_front() else { break };
            taken_bytes += rejection.bytes();
            taken.push(rejection);
        }
        *bytes -= taken_bytes;
        taken
    }

    pub fn is_empty(&self) -> bool {
        self.queue.lock().map_or(true, |queue| queue.0.is_empty())
    }

    fn take_counts(&self) -> HashMap<(Arc<str>, &'static str), u64> {
        self.uncounted.lock().map(|mut counts| std::mem::take(&mut *counts)).unwrap_or_default()
    }
}

/// The writer's side: what is in the table, so that the bounds need no queries.
#[derive(Debug, Default)]
pub struct Quarantine {
    sources: HashMap<String, VecDeque<Row>>,
}

#[derive(Debug)]
struct Row {
    id: i64,
    bytes: usize,
    network: String,
    cause: String,
}

impl Quarantine {
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut quarantine = Self::default();
        let mut statement = connection.prepare(
            "SELECT id, source, network, cause,
               length(headers) + coalesce(length(query), 0) + coalesce(length(body), 0)
                 + coalesce(length(sealed_credentials), 0)
             FROM rejections ORDER BY id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let entry = Row { id: row.get(0)?, network: row.get(2)?, cause: row.get(3)?, bytes: row.get(4)? };
            quarantine.sources.entry(row.get(1)?).or_default().push_back(entry);
        }
        Ok(quarantine)
    }

    /// Writes a few of those that wait, within the writer's transaction. True when something was written.
    pub fn write(
        &mut self,
        connection: &Connection,
        waiting: &Waiting,
        sealer: &Sealer,
    ) -> rusqlite::Result<bool> {
        let rejections = waiting.take();
        for rejection in &rejections {
            self.write_one(connection, waiting, sealer, rejection)?;
        }
        Ok(!rejections.is_empty())
    }

    fn write_one(
        &mut self,
        connection: &Connection,
        waiting: &Waiting,
        sealer: &Sealer,
        rejection: &NewRejection,
    ) -> rusqlite::Result<()> {
        let network = network_of(rejection.remote_ip);
        let rows = self.sources.entry(rejection.source.to_string()).or_default();
        let alike = rows.iter().filter(|row| row.network == network && row.cause == rejection.cause).count();
        if alike >= ROWS_PER_NETWORK_AND_CAUSE || rejection.bytes() > BYTES_PER_SOURCE {
            waiting.count(&rejection.source, rejection.cause);
            return Ok(());
        }
        let mut bytes: usize = rows.iter().map(|row| row.bytes).sum();
        while rows.len() >= ROWS_PER_SOURCE || bytes + rejection.bytes() > BYTES_PER_SOURCE {
            let Some(oldest) = rows.pop_front() else { break };
            bytes -= oldest.bytes;
            delete(connection, oldest.id)?;
            waiting.count(&rejection.source, rejection.cause);
        }
        let id = insert(connection, sealer, rejection, &network)?;
        rows.push_back(Row { id, bytes: rejection.bytes(), network, cause: rejection.cause.to_owned() });
        Ok(())
    }

    /// It is no longer in the table.
    pub fn forget(&mut self, id: i64) {
        self.sources.values_mut().for_each(|rows| rows.retain(|row| row.id != id));
    }

    /// One step of dropping what is older than a day, and of writing the counts; how many were dropped.
    pub fn expire(
        &mut self,
        connection: &Connection,
        waiting: &Waiting,
        now: OffsetDateTime,
    ) -> rusqlite::Result<usize> {
        let cut_off = timestamp::to_text(now - KEPT_FOR);
        let old: Vec<i64> = connection
            .prepare_cached("SELECT id FROM rejections WHERE received_at < ?1 ORDER BY received_at LIMIT ?2")?
            .query_map(params![cut_off, DROPPED_IN_A_STEP], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in &old {
            delete(connection, *id)?;
        }
        for rows in self.sources.values_mut() {
            rows.retain(|row| !old.contains(&row.id));
        }
        connection.prepare_cached("DELETE FROM rejection_counts WHERE last_at < ?1")?.execute([&cut_off])?;
        for ((source, cause), count) in waiting.take_counts() {
            connection
                .prepare_cached(
                    "INSERT INTO rejection_counts (source, cause, counted, first_at, last_at)
                     VALUES (?1, ?2, ?3, ?4, ?4)
                     ON CONFLICT (source, cause) DO UPDATE SET counted = counted + ?3, last_at = ?4",
                )?
                .execute(params![&*source, cause, count, timestamp::to_text(now)])?;
        }
        Ok(old.len())
    }
}

pub fn exists(connection: &Connection, id: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM rejections WHERE id = ?1)")?
        .query_row([id], |row| row.get(0))
}

pub fn delete(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM rejections WHERE id = ?1")?.execute([id]).map(drop)
}

fn insert(
    connection: &Connection,
    sealer: &Sealer,
    rejection: &NewRejection,
    network: &str,
) -> rusqlite::Result<i64> {
    let sealed =
        rejection.credentials.as_ref().map(|plain| sealer.seal(SEALED_AS, plain.as_bytes()).into_bytes());
    connection
        .prepare_cached(
            "INSERT INTO rejections (received_at, source, cause, remote_ip, network, method, query, headers, body,
               sealed_credentials)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .insert(params![
            timestamp::to_text(rejection.received_at),
            &*rejection.source,
            rejection.cause,
            rejection.remote_ip.to_string(),
            network,
            rejection.method,
            rejection.query,
            rejection.headers,
            rejection.body.as_deref(),
            sealed,
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(address: &str, cause: &'static str, body_bytes: usize) -> NewRejection {
        NewRejection {
            received_at: OffsetDateTime::UNIX_EPOCH,
            source: "github".into(),
            cause,
            remote_ip: address.parse().unwrap(),
            method: "POST".to_owned(),
            query: None,
            headers: "{}".to_owned(),
            body: Some(Bytes::from(vec![0; body_bytes])),
            credentials: Some("[\"secret\"]".to_owned()),
        }
    }

    fn setup() -> (Connection, Quarantine, Waiting, Sealer) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../schema.sql")).unwrap();
        (connection, Quarantine::default(), Waiting::default(), Sealer::new(b"key"))
    }

    fn rows(connection: &Connection) -> usize {
        connection.query_row("SELECT count(*) FROM rejections", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn one_network_gets_twenty_rows_for_a_cause_and_the_rest_is_counted() {
        let (connection, mut quarantine, waiting, sealer) = setup();
        for last in 0..30 {
            let rejection = rejection(&format!("192.0.2.{last}"), "missing_header", 10);
            quarantine.write_one(&connection, &waiting, &sealer, &rejection).unwrap();
        }
        assert_eq!(rows(&connection), 20);
        quarantine.expire(&connection, &waiting, OffsetDateTime::UNIX_EPOCH).unwrap();
        let counted: u64 =
            connection.query_row("SELECT counted FROM rejection_counts", [], |row| row.get(0)).unwrap();
        assert_eq!(counted, 10);
    }

    #[test]
    fn a_source_keeps_the_newest_thousand_and_the_bounds_survive_a_restart() {
        let (connection, mut quarantine, waiting, sealer) = setup();
        for number in 0..1_500 {
            let address = format!("10.{}.{}.1", number / 200, number % 200);
            quarantine
                .write_one(&connection, &waiting, &sealer, &rejection(&address, "missing_header", 1))
                .unwrap();
            if number == 700 {
                quarantine = Quarantine::load(&connection).unwrap();
            }
        }
        assert_eq!(rows(&connection), ROWS_PER_SOURCE);
        let newest: i64 =
            connection.query_row("SELECT max(id) FROM rejections", [], |row| row.get(0)).unwrap();
        assert_eq!(newest, 1_500);
    }

    #[test]
    fn a_source_keeps_at_most_sixteen_mebibytes() {
        let (connection, mut quarantine, waiting, sealer) = setup();
        for number in 0..40 {
            let address = format!("10.0.{number}.1");
            let rejection = rejection(&address, "missing_header", 1 << 20);
            quarantine.write_one(&connection, &waiting, &sealer, &rejection).unwrap();
        }
        let bytes: usize =
            connection.query_row("SELECT sum(length(body)) FROM rejections", [], |row| row.get(0)).unwrap();
        assert!(bytes <= BYTES_PER_SOURCE && bytes > BYTES_PER_SOURCE - (2 << 20));
    }

    #[test]
    fn what_waits_in_memory_is_bounded_and_the_rest_is_counted() {
        let waiting = Waiting::default();
        assert!(waiting.add(rejection("192.0.2.1", "missing_header", 1)));
        for _ in 0..2_000 {
            assert!(!waiting.add(rejection("192.0.2.1", "missing_header", 1)));
        }
        assert_eq!(waiting.queue.lock().unwrap().0.len(), WAITING_ROWS);
        assert_eq!(waiting.take_counts().values().sum::<u64>(), 2_001 - WAITING_ROWS as u64);
    }

    #[test]
    fn credentials_are_sealed_and_rejections_go_after_a_day() {
        let (connection, mut quarantine, waiting, sealer) = setup();
        quarantine.write_one(&connection, &waiting, &sealer, &rejection("::1", "token_mismatch", 1)).unwrap();
        let sealed: Vec<u8> =
            connection.query_row("SELECT sealed_credentials FROM rejections", [], |row| row.get(0)).unwrap();
        let text = String::from_utf8(sealed).unwrap();
        assert_eq!(sealer.open("rejection", &text).unwrap(), b"[\"secret\"]");
        let later = OffsetDateTime::UNIX_EPOCH + KEPT_FOR + Duration::SECOND;
        assert_eq!(quarantine.expire(&connection, &waiting, later).unwrap(), 1);
        assert_eq!(quarantine.expire(&connection, &waiting, later).unwrap(), 0);
        assert_eq!(rows(&connection), 0);
    }

    #[test]
    fn networks_are_slash_24_and_slash_64() {
        assert_eq!(network_of("192.0.2.77".parse().unwrap()), "192.0.2.0/24");
        assert_eq!(network_of("::ffff:192.0.2.77".parse().unwrap()), "192.0.2.0/24");
        assert_eq!(network_of("2001:db8:1:2:3::4".parse().unwrap()), "2001:db8:1:2::/64");
    }
}
