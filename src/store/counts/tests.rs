//! The counts compared with the stored messages, also after crashes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use time::OffsetDateTime;

use crate::store::counts::pending::PendingCounts;
use crate::store::counts::period::CountMinute;
use crate::store::counts::read::{
    CountGrouping, CountQuery, CountReadOutcome, CountReport, may_have_name, report, traffic_by_source,
};
use crate::store::counts::tally::Tally;
use crate::store::counts::traffic::TrafficCount;
use crate::store::counts::{MAX_EVENTS, OTHER_EVENT, UNKNOWN_EVENT, expire, write};
use crate::store::target::subscription::Pattern;
use crate::store::tests::setup::{Setup, message, with_id};
use crate::store::*;

const COUNTED: &str =
    "SELECT group_concat(hour || ' ' || source || ' ' || event || ' ' || messages || ' ' || bytes, ', ')
  FROM (SELECT * FROM hourly_counts WHERE messages > 0 ORDER BY hour, source, event)";
const STORED: &str =
    "SELECT group_concat(hour || ' ' || source || ' ' || event || ' ' || messages || ' ' || bytes, ', ')
  FROM (SELECT substr(received_at, 1, 13) || ':00Z' AS hour, source, event, count(*) AS messages,
          sum(octet_length(coalesce(body, payload))) AS bytes
        FROM messages GROUP BY 1, 2, 3 ORDER BY 1, 2, 3)";
const COUNTED_BY_MINUTE: &str =
    "SELECT group_concat(minute || ' ' || source || ' ' || event || ' ' || messages || ' ' || bytes, ', ')
  FROM (SELECT * FROM minute_counts WHERE messages > 0 ORDER BY minute, source, event)";
const STORED_BY_MINUTE: &str =
    "SELECT group_concat(minute || ' ' || source || ' ' || event || ' ' || messages || ' ' || bytes, ', ')
  FROM (SELECT substr(received_at, 1, 16) || 'Z' AS minute, source, event, count(*) AS messages,
          sum(octet_length(coalesce(body, payload))) AS bytes
        FROM messages GROUP BY 1, 2, 3 ORDER BY 1, 2, 3)";

/// A generator of small pseudo-random numbers.
struct RandomNumbers(u64);

impl RandomNumbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Returns messages of the last two days, with some duplicates and conflicts.
fn traffic(random: &mut RandomNumbers, number: usize) -> Vec<NewMessage> {
    (0..number)
        .map(|_| {
            let source = ["github", "stripe"][random.below(2) as usize];
            let body = format!("\"{}\"", "x".repeat(random.below(30) as usize));
            let minutes = i64::try_from(random.below(2) * 600 + random.below(3)).unwrap();
            NewMessage {
                source: source.into(),
                event: format!("{source}.{}", random.below(4)),
                received_at: OffsetDateTime::now_utc() - time::Duration::minutes(minutes),
                ..with_id(&random.below(200).to_string(), &body)
            }
        })
        .collect()
}

fn count_older(setup: &Setup, store: &Store) -> usize {
    let step = || setup.runtime.block_on(store.counts().count_older(OffsetDateTime::now_utc())).unwrap();
    (0..).take_while(|_| step()).count()
}

#[track_caller]
fn assert_counted(setup: &Setup) {
    assert_eq!(setup.query::<Option<String>>(COUNTED), setup.query(STORED));
    assert_eq!(setup.query::<Option<String>>(COUNTED_BY_MINUTE), setup.query(STORED_BY_MINUTE));
    assert_eq!(setup.query::<i64>("SELECT count(*) FROM uncounted_messages"), 0);
}

fn last_day(by: Option<CountGrouping>) -> CountQuery {
    let from = CountMinute::of(OffsetDateTime::now_utc()).hour().plus(-23 * 60);
    CountQuery { from, step_minutes: 60, buckets: 24, source: None, event: None, by }
}

fn read_report(setup: &Setup, store: &Store, query: CountQuery) -> CountReport {
    setup.runtime.block_on(store.counts().report(query)).unwrap().unwrap()
}

fn rejection(source: &str) -> NewRejection {
    NewRejection {
        received_at: OffsetDateTime::now_utc(),
        source: source.into(),
        cause: "signature_mismatch",
        kind: RejectionKind::Noise,
        remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: "POST".to_owned(),
        query: None,
        headers: "{}".to_owned(),
        body: None,
        credentials: None,
    }
}

#[test]
fn random_traffic_is_counted_exactly_over_stops_and_crashes() {
    for seed in 0..6 {
        let mut random = RandomNumbers(seed);
        let mut setup = Setup::new();
        for _ in 0..4 {
            let store = setup.open();
            let number = 1 + random.below(80) as usize;
            setup.keep_all(&store, traffic(&mut random, number));
            if random.below(2) == 0 {
                count_older(&setup, &store);
            }
            if random.below(3) == 0 {
                setup.close(store);
            } else {
                let copy = setup.crash_copy();
                setup.close(store);
                setup = copy;
            }
        }
        let store = setup.open();
        count_older(&setup, &store);
        setup.close(store);
        assert_counted(&setup);
    }
}

#[test]
fn messages_of_an_older_version_are_counted_in_steps() {
    let mut setup = Setup::new();
    let store = setup.open();
    setup.keep_all(&store, traffic(&mut RandomNumbers(7), 150));
    setup.close(store);
    let older = "DELETE FROM hourly_counts; DELETE FROM minute_counts;
        UPDATE count_progress SET counted_through = 0, flushes = 0;
        DELETE FROM messages WHERE id % 7 = 0";
    Connection::open(setup.path()).unwrap().execute_batch(older).unwrap();
    let store = setup.open();
    let report = read_report(&setup, &store, last_day(None));
    assert!(report.is_incomplete && report.all.total.is_zero(), "{report:?}");
    let step = |setup: &Setup, store: &Store| {
        setup.runtime.block_on(store.counts().count_older(OffsetDateTime::now_utc())).unwrap()
    };
    assert!(step(&setup, &store));
    let copy = setup.crash_copy();
    setup.close(store);
    setup = copy;
    let store = setup.open();
    assert!(count_older(&setup, &store) >= 1);
    setup.close(store);
    assert_counted(&setup);
}

#[test]
fn report_includes_counts_in_memory() {
    let setup = Setup::new();
    let store = setup.open();
    for (id, event) in
        [("1", "github.push"), ("1", "github.push"), ("2", "github.push"), ("3", "github.ping")]
    {
        setup.keep(&store, NewMessage { event: event.to_owned(), ..with_id(id, "{}") }).unwrap();
    }
    setup.runtime.block_on(store.ingest().quarantine(rejection("stripe")));
    let total = TrafficCount { messages: 3, bytes: 6, rejections: 1 };
    let names = |report: &CountReport| -> Vec<(String, u64, u64)> {
        let row = |one: &CountSeries| (one.name.to_string(), one.total.messages, one.total.rejections);
        report.series.iter().map(row).collect()
    };
    let events = [
        ("github.push".to_owned(), 2, 0),
        (UNKNOWN_EVENT.to_owned(), 0, 1),
        ("github.ping".to_owned(), 1, 0),
    ];
    let check = |store: &Store| {
        let by_event = read_report(&setup, store, last_day(Some(CountGrouping::Event)));
        assert_eq!(by_event.all.total, total);
        let mut sorted = names(&by_event);
        sorted[1..].sort();
        assert_eq!(sorted, events);
        let pushes = CountQuery { event: Some(Pattern::new("*.push")), ..last_day(None) };
        assert_eq!(read_report(&setup, store, pushes).all.total.messages, 2);
        let any_event = CountQuery { event: Some(Pattern::new("*")), ..last_day(None) };
        let messages_only = TrafficCount { rejections: 0, ..total };
        assert_eq!(read_report(&setup, store, any_event).all.total, messages_only);
        let stripe = CountQuery { source: Some("stripe".to_owned()), ..last_day(None) };
        assert_eq!(read_report(&setup, store, stripe).all.total, TrafficCount::of_rejection());
    };
    check(&store);
    setup.close(store);
    check(&setup.open());
    assert_eq!(setup.query::<i64>("SELECT sum(rejections) FROM daily_counts WHERE event = ''"), 1);
}

#[test]
fn smallest_series_are_added_up() {
    let setup = Setup::new();
    let store = setup.open();
    for number in 0..6 {
        for _ in 0..=number {
            let event = format!("github.{number}");
            setup.keep(&store, NewMessage { event, ..message(Identity::None, "{}") }).unwrap();
        }
    }
    let series = read_report(&setup, &store, last_day(Some(CountGrouping::Event))).series;
    let rows: Vec<(&str, u64)> = series.iter().map(|one| (&*one.name, one.total.messages)).collect();
    assert_eq!(rows, [("github.5", 6), ("github.4", 5), ("github.3", 4), (OTHER_EVENT, 6)]);
    let sum: u64 = series.iter().flat_map(|one| &one.buckets).map(|count| count.messages).sum();
    assert_eq!(sum, 21);
    setup.close(store);
}

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    connection
}

/// Returns a tally with one message of each event.
fn tally_of(events: impl Iterator<Item = usize>, minute: CountMinute) -> Tally {
    let mut tally = Tally::default();
    events.for_each(|event| tally.add_message(1.into(), minute, &"a".into(), &format!("a.{event:02}"), 1));
    tally.settle();
    tally
}

#[test]
fn events_beyond_the_limit_are_counted_together() {
    let (connection, now) = (database(), OffsetDateTime::now_utc());
    let minute = CountMinute::of(now);
    for (flush, events) in [(1, 0..MAX_EVENTS - 2), (2, 0..MAX_EVENTS + 3), (3, MAX_EVENTS..MAX_EVENTS + 1)] {
        write::flush(&connection, &tally_of(events, minute), flush, now).unwrap();
    }
    for table in ["hourly_counts", "minute_counts"] {
        let count = |sql: &str| -> i64 {
            connection.query_row(&format!("SELECT {sql} FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count("count(*)"), MAX_EVENTS as i64 + 1, "{table}");
        assert_eq!(count("sum(messages)"), 2 * MAX_EVENTS as i64 + 2, "{table}");
        assert_eq!(count("sum(iif(event = '…other', messages, 0))"), 4, "{table}");
    }
}

#[test]
fn old_counts_are_deleted_and_not_written_again() {
    let (connection, now) = (database(), OffsetDateTime::now_utc());
    let rows = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let at = |days: i64| CountMinute::of(now - time::Duration::days(days));
    for days in [0, 2, 4, 399, 402] {
        write::add(&connection, &tally_of(0..3, at(days)), now).unwrap();
    }
    assert_eq!((rows("hourly_counts"), rows("minute_counts")), (12, 6));
    let later = now + time::Duration::days(2);
    while expire::delete(&connection, later).unwrap() > 0 {}
    assert_eq!((rows("hourly_counts"), rows("minute_counts")), (9, 3));
}

#[test]
fn snapshot_from_before_a_flush_is_outdated() {
    let (connection, now) = (database(), OffsetDateTime::now_utc());
    let pending = PendingCounts::default();
    let deadline = Instant::now() + Duration::from_secs(60);
    let read = || report(&connection, &last_day(None), &pending.snapshot(), deadline).unwrap();
    pending.add_messages(|tally| {
        tally.add_message(1.into(), CountMinute::of(now), &"a".into(), "a.b", 1);
    });
    let total = |outcome: CountReadOutcome| match outcome {
        CountReadOutcome::Report(report) => Some(report.all.total.messages),
        CountReadOutcome::OutdatedSnapshot | CountReadOutcome::TimedOut => None,
    };
    assert_eq!(total(read()), Some(1));
    let (tally, flushes) = pending.begin_flush();
    assert_eq!(total(read()), Some(1));
    write::flush(&connection, &tally, flushes, now).unwrap();
    assert_eq!(total(read()), None);
    pending.end_flush();
    assert_eq!(total(read()), Some(1));
}

#[test]
fn report_without_compacted_minutes_is_incomplete() {
    let (connection, now) = (database(), OffsetDateTime::now_utc());
    let (minute, deadline) = (CountMinute::of(now), Instant::now() + Duration::from_secs(60));
    let is_incomplete = |pending: &PendingCounts, step_minutes: i64| {
        let query = CountQuery { from: minute.hour(), step_minutes, buckets: 60, ..last_day(None) };
        match report(&connection, &query, &pending.snapshot(), deadline).unwrap() {
            CountReadOutcome::Report(report) => report.is_incomplete,
            outcome => panic!("{outcome:?}"),
        }
    };
    let pending = PendingCounts::default();
    let add = |minute: CountMinute, sources: usize| {
        pending.add_messages(|tally| {
            for source in 0..sources {
                tally.add_message(1.into(), minute, &source.to_string().into(), "a.b", 1);
            }
        });
    };
    add(minute, 60);
    assert!(!is_incomplete(&pending, 1));
    add(minute, 100);
    assert!(is_incomplete(&pending, 1) && !is_incomplete(&pending, 60));
    let (tally, flushes) = pending.begin_flush();
    write::flush(&connection, &tally, flushes, now).unwrap();
    pending.end_flush();
    assert!(is_incomplete(&pending, 1) && !is_incomplete(&pending, 60));
}

#[test]
fn report_of_part_of_an_hour_is_complete() {
    let (connection, now) = (database(), OffsetDateTime::now_utc());
    let hour = CountMinute::of(now).hour();
    let pending = PendingCounts::default();
    for minute in [0, 20, 40] {
        write::add(&connection, &tally_of(0..3, hour.plus(minute)), now).unwrap();
        pending.add_messages(|tally| {
            tally.add_message(1.into(), hour.plus(minute), &"a".into(), "a.b", 1);
        });
    }
    let query = CountQuery { from: hour.plus(10), step_minutes: 10, buckets: 2, ..last_day(None) };
    let deadline = Instant::now() + Duration::from_secs(60);
    match report(&connection, &query, &pending.snapshot(), deadline).unwrap() {
        CountReadOutcome::Report(report) => {
            assert_eq!((report.all.total.messages, report.is_incomplete), (4, false));
        }
        outcome => panic!("{outcome:?}"),
    }
}

/// At 12:59 with a retention of 1 h, one minute of the hour from 11:00 is stored.
#[test]
fn first_stored_hour_is_used_in_part() {
    let connection = database();
    let hour = CountMinute::of(OffsetDateTime::now_utc()).hour();
    let now = hour.plus(119);
    for minute in 0..120 {
        write::add(&connection, &tally_of(0..5, hour.plus(minute)), now.to_timestamp().to_time()).unwrap();
    }
    let stored = |from: CountMinute| {
        let windows = TrafficWindows {
            recent_from: hour,
            recent_to: now.hour(),
            now,
            stored_from: [("b".to_owned(), hour)].into(),
            others_stored_from: from,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        traffic_by_source(&connection, &windows, deadline).unwrap().unwrap()["a"].stored.messages
    };
    assert_eq!(stored(now.plus(-60)), 5 * 61);
    assert_eq!(stored(now.plus(-30)), 5 * 31);
    assert_eq!(stored(hour), 5 * 120);
}

#[test]
fn name_with_counts_is_found_without_messages() {
    let (connection, now) = (database(), OffsetDateTime::now_utc());
    write::add(&connection, &tally_of(0..3, CountMinute::of(now)), now).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let has = |by, name: &str| may_have_name(&connection, by, name, deadline).unwrap();
    assert!(has(CountGrouping::Source, "a") && has(CountGrouping::Event, "a.02"));
    assert!(!has(CountGrouping::Source, "b") && !has(CountGrouping::Event, "a"));
}

#[test]
fn number_of_messages_is_estimated_from_ids() {
    let setup = Setup::new();
    let store = setup.open();
    let estimate = || setup.runtime.block_on(store.counts().estimate_messages()).unwrap();
    assert_eq!(estimate(), 0);
    setup.keep_all(&store, vec![message(Identity::None, "{}"); 20]);
    assert_eq!(estimate(), 20);
    setup.keep_all(&store, vec![message(Identity::None, "{}"); 300]);
    assert_eq!(estimate(), 320);
    Connection::open(setup.path()).unwrap().execute("DELETE FROM messages WHERE id % 2 = 0", []).unwrap();
    assert!((150..170).contains(&estimate()), "{}", estimate());
    setup.close(store);
}
