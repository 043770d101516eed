//! Limits of the quarantine, with a database in memory.

use bytes::Bytes;
use rusqlite::Connection;
use time::{Duration, OffsetDateTime};

use crate::store::quarantine::intake::{Intake, OfferOutcome};
use crate::store::quarantine::network::ClientNetwork;
use crate::store::quarantine::read;
use crate::store::quarantine::rejection::{NewRejection, RejectionKind, SEALED_AS};
use crate::store::quarantine::search::{self, RejectionSearch};
use crate::store::quarantine::write::Quarantine;
use crate::store::seal::sealer::Sealer;

pub fn candidate(address: &str, body_bytes: usize) -> NewRejection {
    NewRejection {
        received_at: OffsetDateTime::UNIX_EPOCH,
        source: "github".into(),
        cause: "signature_mismatch",
        kind: RejectionKind::Candidate,
        remote_ip: address.parse().unwrap(),
        method: "POST".to_owned(),
        query: None,
        headers: "{}".to_owned(),
        body: Some(Bytes::from(vec![0; body_bytes])),
        credentials: Some("[\"secret\"]".to_owned()),
    }
}

pub fn noise(address: &str, body_bytes: usize) -> NewRejection {
    NewRejection { cause: "missing_header", kind: RejectionKind::Noise, ..candidate(address, body_bytes) }
}

struct Bench {
    connection: Connection,
    quarantine: Quarantine,
    intake: Intake,
    sealer: Sealer,
    max_bytes: u64,
}

impl Bench {
    fn new(max_bytes: u64) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        let (quarantine, intake) = (Quarantine::default(), Intake::default());
        Self { connection, quarantine, intake, sealer: Sealer::new(b"key"), max_bytes }
    }

    fn keep(&mut self, rejection: NewRejection) {
        assert!(matches!(self.intake.offer(rejection), OfferOutcome::Taken(_)));
        while !self.intake.is_empty() {
            self.quarantine.write(&self.connection, &self.intake, &self.sealer, self.max_bytes).unwrap();
            self.quarantine.committed(&self.intake);
        }
    }

    fn restart(&mut self) {
        self.quarantine = Quarantine::load(&self.connection, &self.intake).unwrap();
    }

    fn number(&self, sql: &str) -> i64 {
        self.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn rows_of(&self, network: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM rejections WHERE network = '{network}'"))
    }

    /// Asserts that the books match the table.
    fn check(&mut self) {
        let bytes = self.quarantine.bytes(&self.connection).unwrap();
        assert_eq!(
            i64::try_from(bytes).unwrap(),
            self.number("SELECT coalesce(sum(bytes), 0) FROM rejections")
        );
        assert!(bytes <= self.max_bytes, "{bytes}");
        let stats = self.intake.stats();
        assert_eq!((stats.bytes, stats.rows), (bytes, self.number("SELECT count(*) FROM rejections") as u64));
    }
}

const MIB: u64 = 1 << 20;

#[test]
fn noise_is_bounded_by_network_and_cause() {
    let mut bench = Bench::new(MIB);
    for last in 0..30 {
        bench.keep(noise(&format!("192.0.2.{last}"), 10));
    }
    assert_eq!(bench.rows_of("192.0.2.0/24"), 20);
    let now = OffsetDateTime::UNIX_EPOCH;
    bench.quarantine.write_counts(&bench.connection, &bench.intake, now).unwrap();
    assert_eq!(bench.number("SELECT counted * 100 + candidates FROM rejection_counts"), 1_000);
    bench.check();
}

#[test]
fn noise_is_bounded_by_source_over_a_restart() {
    let mut bench = Bench::new(64 * MIB);
    for number in 0..1_500 {
        bench.keep(noise(&format!("10.{}.{}.1", number / 200, number % 200), 1));
        if number == 700 {
            bench.restart();
        }
    }
    assert_eq!(bench.number("SELECT count(*) * 10000 + max(id) FROM rejections"), 10_001_500);
    bench.check();
}

#[test]
fn candidates_of_one_network_fill_the_whole_budget() {
    let mut bench = Bench::new(MIB);
    for number in 0..600 {
        bench.keep(candidate("192.0.2.1", 1));
        if number == 300 {
            bench.restart();
        }
    }
    // Small rows count as 2 KiB; the newest stay.
    assert_eq!(bench.number("SELECT count(*) * 1000 + min(id) FROM rejections"), 512_089);
    assert_eq!(bench.intake.stats().candidates_dropped, 88);
    bench.check();
}

#[test]
fn flood_does_not_evict_other_networks_or_sources() {
    let mut bench = Bench::new(MIB);
    for _ in 0..60 {
        bench.keep(candidate("192.0.2.1", 1_000));
        bench.keep(NewRejection { source: "stripe".into(), ..candidate("192.0.2.1", 1_000) });
        bench.keep(candidate("2001:db8:1::1", 1_000));
    }
    for number in 0..3_000_u32 {
        bench.keep(candidate("198.51.100.9", 3_000));
        // Each from another network of one /32.
        bench.keep(candidate(&format!("2a00:1:{:x}:{:x}::1", number % 7, number), 3_000));
    }
    assert_eq!(bench.number("SELECT count(*) FROM rejections WHERE source = 'stripe'"), 60);
    assert_eq!((bench.rows_of("192.0.2.0/24"), bench.rows_of("2001:db8:1::/64")), (120, 60));
    bench.check();
    bench.restart();
    bench.check();
}

#[test]
fn flood_does_not_evict_known_senders() {
    let mut bench = Bench::new(4 * MIB);
    let known = ("github".to_owned(), ClientNetwork::of("192.0.2.1".parse().unwrap()));
    bench.intake.learn_senders(std::iter::once(known));
    for _ in 0..300 {
        bench.keep(candidate("192.0.2.1", 8_500));
    }
    for number in 0..1_500_u32 {
        let [_, _, high, low] = number.to_be_bytes();
        bench.keep(candidate(&format!("10.{high}.{low}.1"), 1));
        bench.keep(candidate("198.51.100.1", 8_000));
        bench.keep(NewRejection { source: "other".into(), ..candidate("198.51.100.1", 8_000) });
    }
    assert_eq!(bench.rows_of("192.0.2.0/24"), 300);
    bench.check();
    bench.restart();
    bench.keep(candidate("198.51.100.1", 8_000));
    assert_eq!(bench.rows_of("192.0.2.0/24"), 300);
}

#[test]
fn large_body_does_not_evict_smaller_holders() {
    let mut bench = Bench::new(MIB);
    for network in 0..40 {
        for _ in 0..10 {
            bench.keep(candidate(&format!("10.{network}.0.1"), 1));
        }
    }
    bench.keep(candidate("198.51.100.9", 700_000));
    assert_eq!(bench.rows_of("198.51.100.0/24"), 0);
    bench.keep(candidate("198.51.100.9", 2 * MIB as usize));
    assert_eq!(bench.number("SELECT count(*) FROM rejections"), 400);
    assert_eq!(bench.intake.stats().candidates_dropped, 2);
    bench.check();
}

#[test]
fn noise_yields_to_candidates() {
    let mut bench = Bench::new(MIB);
    for network in 0..40 {
        bench.keep(noise(&format!("10.{network}.0.1"), 20_000));
    }
    for _ in 0..400 {
        bench.keep(candidate("192.0.2.1", 1_500));
    }
    assert_eq!(bench.rows_of("192.0.2.0/24"), 400);
    for network in 0..100 {
        bench.keep(noise(&format!("10.{network}.0.1"), 20_000));
    }
    assert_eq!(bench.rows_of("192.0.2.0/24"), 400);
    bench.check();
}

#[test]
fn shrinking_evicts_noise_first_and_stops_when_done() {
    let mut bench = Bench::new(MIB);
    for _ in 0..5 {
        bench.keep(candidate("192.0.2.1", 10_000));
    }
    bench.keep(noise("192.0.2.1", 1_000));
    let shrink = |bench: &mut Bench, bytes| {
        bench.quarantine.shrink(&bench.connection, &bench.intake, bytes).unwrap().rows
    };
    assert_eq!(shrink(&mut bench, 1), 1);
    assert_eq!(bench.number("SELECT count(*) FROM rejections WHERE candidate = 1"), 5);
    assert_eq!(shrink(&mut bench, 12_000), 2);
    assert_eq!(bench.number("SELECT min(id) FROM rejections"), 3);
    assert_eq!((shrink(&mut bench, MIB), shrink(&mut bench, MIB)), (3, 0));
    bench.check();
}

#[test]
fn candidate_with_edited_network_is_evicted() {
    let mut bench = Bench::new(MIB);
    for _ in 0..5 {
        bench.keep(candidate("192.0.2.1", 10_000));
    }
    bench
        .connection
        .execute_batch(
            "UPDATE rejections SET network = 'elsewhere' WHERE id < 3;
             UPDATE rejections SET network = '192.0.2.77' WHERE id = 3;",
        )
        .unwrap();
    bench.restart();
    bench.check();
    assert_eq!(bench.quarantine.shrink(&bench.connection, &bench.intake, MIB).unwrap().rows, 5);
    assert_eq!(bench.number("SELECT count(*) FROM rejections"), 0);
    bench.check();
}

#[test]
fn credentials_are_sealed_and_rows_expire_by_kind() {
    let mut bench = Bench::new(MIB);
    bench.keep(candidate("::1", 1));
    bench.keep(noise("::1", 1));
    let sealed: Vec<u8> = bench
        .connection
        .query_row("SELECT sealed_credentials FROM rejections", [], |row| row.get(0))
        .unwrap();
    let text = String::from_utf8(sealed).unwrap();
    assert_eq!(bench.sealer.open(SEALED_AS, &text).unwrap(), b"[\"secret\"]");
    let mut expire = |days| {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(days) + Duration::SECOND;
        bench.quarantine.expire(&bench.connection, &bench.intake, now, Duration::days(7)).unwrap()
    };
    assert_eq!([expire(0), expire(1), expire(1), expire(6), expire(7), expire(7)], [0, 1, 0, 0, 1, 0]);
    bench.check();
}

#[test]
fn stored_rejection_is_read_back_unchanged() {
    let mut bench = Bench::new(MIB);
    bench.keep(NewRejection { query: Some("a=1".to_owned()), ..candidate("192.0.2.1", 3) });
    bench.keep(noise("192.0.2.1", 5));
    let (stored, sealed) = read::one(&bench.connection, 1.into()).unwrap().unwrap();
    assert_eq!((stored.query.as_deref(), stored.headers.as_str()), (Some("a=1"), "{}"));
    assert_eq!((stored.body, sealed.is_some()), (Some(vec![0; 3]), true));
    assert_eq!((stored.head.kind, stored.head.body_bytes), (RejectionKind::Candidate, Some(3)));
    let filter = read::RejectionFilter::default();
    let ids = |heads: Vec<read::RejectionRow>| heads.iter().map(|head| head.id).collect::<Vec<_>>();
    assert_eq!(
        ids(search::page(&bench.connection, &RejectionSearch::default(), None, 9).unwrap().rejections),
        [2, 1]
    );
    let start = read::RejectionPosition::START;
    let in_order =
        |after, through| ids(read::next_in_order(&bench.connection, &filter, after, through, 9).unwrap());
    assert_eq!(
        (in_order(&start, 2.into()), in_order(&start, 1.into())),
        (vec![1.into(), 2.into()], vec![1.into()])
    );
    let first = read::RejectionPosition { received_at: stored.head.received_text, id: 1.into() };
    assert_eq!(in_order(&first, 2.into()), [2]);
    let candidates = read::RejectionFilter { kind: Some(RejectionKind::Candidate), ..filter.clone() };
    let counts = read::count(&bench.connection, &candidates, read::newest(&bench.connection).unwrap());
    assert_eq!(counts.unwrap(), [read::CauseCount { cause: "signature_mismatch".to_owned(), count: 1 }]);
}

#[test]
fn lost_transaction_returns_rows_and_counts() {
    let mut bench = Bench::new(MIB);
    for number in 0..3 {
        assert!(matches!(bench.intake.offer(candidate("192.0.2.1", number)), OfferOutcome::Taken(_)));
    }
    bench.intake.count_dropped(&noise("192.0.2.1", 1));
    bench.connection.execute_batch("BEGIN").unwrap();
    bench.quarantine.write(&bench.connection, &bench.intake, &bench.sealer, MIB).unwrap();
    bench.quarantine.write_counts(&bench.connection, &bench.intake, OffsetDateTime::UNIX_EPOCH).unwrap();
    bench.connection.execute_batch("ROLLBACK").unwrap();
    bench.quarantine.rolled_back(&bench.intake, false);
    assert!(bench.intake.has_drops());
    bench.keep(candidate("192.0.2.1", 3));
    assert_eq!(bench.number("SELECT sum(length(body) * id) FROM rejections"), 2 + 6 + 12);
    bench.check();
}

#[test]
fn edited_times_do_not_hide_rejections() {
    let mut bench = Bench::new(MIB);
    for _ in 0..5 {
        bench.keep(candidate("192.0.2.1", 3));
    }
    bench
        .connection
        .execute_batch(
            "UPDATE rejections SET received_at = '1970-01-01T00:00:00.000000' WHERE id = 2;
             UPDATE rejections SET received_at = 'yesterday' WHERE id = 3;
             UPDATE rejections SET received_at = '' WHERE id = 4;",
        )
        .unwrap();
    let filter = read::RejectionFilter::default();
    let page = search::page(&bench.connection, &RejectionSearch::default(), None, 9).unwrap();
    assert_eq!(page.rejections.len(), 5);
    assert_eq!(read::count(&bench.connection, &filter, 5.into()).unwrap()[0].count, 5);
    let (mut position, mut found) = (read::RejectionPosition::START, Vec::new());
    while let Some(row) =
        read::next_in_order(&bench.connection, &filter, &position, 5.into(), 1).unwrap().pop()
    {
        found.push(row.id);
        position = read::RejectionPosition { received_at: row.received_text, id: row.id };
    }
    assert_eq!(found, [4, 2, 1, 5, 3]);
    let (edited, _) = read::one(&bench.connection, 3.into()).unwrap().unwrap();
    assert_eq!(edited.head.received_at.to_string(), "yesterday");
}
