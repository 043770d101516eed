//! Searches of the quarantine, compared with the matcher, and their limits.

use rusqlite::Connection;
use time::OffsetDateTime;

use super::*;
use crate::query::{MessageFacts, MessageFlags, MessageText, SearchedMessage};
use crate::store::schema;
use crate::store::timestamp::Timestamp;

/// Terms that differ in most columns, and some that need the text.
const TERMS: [&str; 34] = [
    "source:shop",
    "source:github,emitted",
    "event:push",
    "event:*",
    "id:d-3",
    "#5",
    "ip:192.0.2.1",
    "method:put,delete",
    "owner:ann",
    "after:2026-11-22T00:10",
    "before:2026-11-22T00:20",
    "at:2026-11-22T00:15",
    "is:dead",
    "is:pending",
    "is:conflict",
    "is:notjson",
    "is:unverified",
    "is:awaiting",
    "is:rejected",
    "to:deploy",
    "larger:20",
    "smaller:20",
    "larger:0",
    "order",
    "ord*",
    "\"order 1\"",
    ".order:>10",
    ".order:3",
    "header.x-a:one",
    "one OR plain",
    "header.authorization:*",
    "redacted",
    "müller",
    "page",
];

const HEADERS: &str = r#"{"authorization":"[redacted]","x-a":["one","two"]}"#;
const ROWS: i64 = 60;

struct ExampleRejection {
    id: i64,
    minute: i64,
    source: &'static str,
    method: &'static str,
    remote_ip: String,
    query: Option<&'static str>,
    body: Option<Vec<u8>>,
}

/// The rejection of this number; the numbers make all combinations of its properties.
fn example(id: i64) -> ExampleRejection {
    let text = match id % 6 {
        0 => None,
        1 => Some("plain order 17".to_owned()),
        2 => Some(format!(r#"{{"order":{id},"name":"M\u00fcller"}}"#)),
        3 => Some(format!("\u{feff} {{\"order\":{id},\"text\":\"order 1\"}}\n")),
        // Neither is JSON within its limits.
        4 => Some(format!("order={id}&text=order 1")),
        _ => Some(format!("{}{id}{}", "[".repeat(200), "]".repeat(200))),
    };
    ExampleRejection {
        id,
        // Not in the order of ids.
        minute: id * 7 % 60,
        source: ["shop", "github", "stripe"][usize::try_from(id % 3).unwrap()],
        method: ["POST", "PUT"][usize::try_from(id % 2).unwrap()],
        remote_ip: format!("192.0.2.{}", id % 4),
        query: (id % 4 == 0).then_some("page=3&token=[redacted]"),
        body: text.map(String::into_bytes),
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::try_from(format!("2026-11-22T00:{minute:02}:00.000000Z").as_str()).unwrap()
}

fn insert(connection: &Connection, rejection: &ExampleRejection) {
    let ExampleRejection { id, minute, source, method, remote_ip, query, body } = rejection;
    connection
        .execute(
            "INSERT INTO rejections (id, received_at, source, cause, candidate, remote_ip, network, bytes, method, query, headers, body)
             VALUES (?1, ?2, ?3, 'signature_mismatch', ?4, ?5, '', 1, ?6, ?7, ?8, ?9)",
            params![id, at(*minute), source, id % 2, remote_ip, method, query, HEADERS, body],
        )
        .unwrap();
}

fn database(ids: impl IntoIterator<Item = i64>) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    ids.into_iter().for_each(|id| insert(&connection, &example(id)));
    connection
}

fn matches(query: &MessageQuery, rejection: &ExampleRejection) -> bool {
    let ExampleRejection { id: _, minute, source, method, remote_ip, query: sent, body } = rejection;
    let facts = MessageFacts {
        id: None,
        received_at: at(*minute).to_time(),
        source,
        event: None,
        owner: None,
        method,
        remote_ip: remote_ip.parse().ok(),
        body_bytes: body.as_ref().map_or(0, Vec::len) as u64,
        flags: MessageFlags { is_rejected: true, ..MessageFlags::default() },
        deliveries: &[],
    };
    let headers = [("x-a", "one"), ("x-a", "two")];
    let text = MessageText::of_rejection(*sent, &headers, body.as_deref());
    query.matches(&SearchedMessage { facts, text }, OffsetDateTime::UNIX_EPOCH)
}

fn search_of(query: &str) -> RejectionSearch {
    let query = MessageQuery::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let q = Some(query.resolve(OffsetDateTime::UNIX_EPOCH));
    RejectionSearch { q, ..RejectionSearch::default() }
}

/// Returns the ids on all pages.
fn listed(connection: &Connection, search: &RejectionSearch, limit: usize) -> Vec<i64> {
    let mut from = None;
    let mut found = Vec::new();
    loop {
        let page = page(connection, search, from, limit).unwrap();
        assert!(page.next.is_none() || page.is_cut || page.rejections.len() == limit, "{page:?}");
        found.extend(page.rejections.iter().map(|head| head.id.get()));
        match page.next {
            Some(next) => from = Some(next),
            None => return found,
        }
    }
}

#[test]
fn page_and_count_have_the_rejections_that_the_matcher_selects() {
    let connection = database(1..=ROWS);
    let all: Vec<String> = TERMS.iter().flat_map(|term| [(*term).to_owned(), format!("-{term}")]).collect();
    let pairs = (0..300).map(|at| format!("{} {}", all[at * 31 % all.len()], all[at * 17 % 61]));
    let mut selecting = 0;
    for query in all.iter().cloned().chain(pairs).filter(|query| !query.contains("-one OR")) {
        let parsed = MessageQuery::parse(&query).unwrap();
        let expected: Vec<i64> = (1..=ROWS).rev().filter(|id| matches(&parsed, &example(*id))).collect();
        let search = search_of(&query);
        assert_eq!(listed(&connection, &search, 7), expected, "{query}");
        let counted = count_matches(&connection, &search).unwrap();
        assert_eq!(counted, MatchCount { count: expected.len(), is_complete: true }, "{query}");
        selecting += usize::from(!expected.is_empty() && expected.len() < 60);
    }
    assert!(selecting > 80, "only {selecting} queries select some of the rejections");
}

#[test]
fn query_is_restricted_by_the_filter() {
    let connection = database(1..=ROWS);
    let filter = RejectionFilter {
        source: Some("shop".to_owned()),
        since: Some(at(10)),
        until: Some(at(50)),
        ..RejectionFilter::default()
    };
    let search = RejectionSearch { filter, ..search_of("order before:2026-11-22T00:40") };
    let is_match = |one: &ExampleRejection| {
        let query = search.q.as_ref().unwrap();
        one.source == "shop" && (10..40).contains(&one.minute) && matches(query, one)
    };
    let expected: Vec<i64> = (1..=ROWS).rev().filter(|id| is_match(&example(*id))).collect();
    assert!(expected.len() > 2, "{expected:?}");
    assert_eq!(listed(&connection, &search, 2), expected);
}

#[test]
fn event_owner_dead_letter_and_ids_select_no_rejections() {
    let plain =
        MessageFilter { source: Some("shop".to_owned()), since: Some(at(1)), ..MessageFilter::default() };
    let search = RejectionSearch::of_messages(&plain).unwrap();
    assert_eq!((search.filter.source.as_deref(), search.filter.since), (Some("shop"), Some(at(1))));
    for filter in [
        MessageFilter { event: Some("*".to_owned()), ..plain.clone() },
        MessageFilter { owner: Some("ann".to_owned()), ..plain.clone() },
        MessageFilter { dead: true, ..plain.clone() },
        MessageFilter { ids: vec![1.into()], ..plain.clone() },
    ] {
        assert_eq!(RejectionSearch::of_messages(&filter), None, "{filter:?}");
    }
}

#[test]
fn page_without_a_match_reports_how_far_it_looked() {
    let connection = database(1..=250);
    let page = |from| page(&connection, &search_of("missing"), from, 50).unwrap();
    let first = page(None);
    assert!(first.rejections.is_empty() && first.is_cut);
    let time = Some(at(151 * 7 % 60).into());
    assert_eq!((first.next, first.looked_back_to), (Some(151.into()), time));
    // All rejections were examined, exactly as many as a page examines.
    let exact = page(Some(101.into()));
    assert_eq!((exact.next, exact.is_cut, exact.looked_back_to), (None, false, None));
    assert_eq!(listed(&connection, &search_of("missing"), 50), Vec::<i64>::new());
    let counted = count_matches(&connection, &search_of("missing")).unwrap();
    assert_eq!(counted, MatchCount { count: 0, is_complete: false });
    // Facts are tested first, so the text of few rows is read.
    let counted = count_matches(&connection, &search_of("source:shop one")).unwrap();
    assert_eq!(counted, MatchCount { count: 83, is_complete: true });
}

#[test]
fn full_last_page_has_no_cursor() {
    let connection = database(1..=4);
    let page = |from| page(&connection, &RejectionSearch::default(), from, 2).unwrap();
    assert_eq!((page(None).next, page(None).is_cut), (Some(3.into()), false));
    assert_eq!((page(Some(3.into())).rejections.len(), page(Some(3.into())).next), (2, None));
}

#[test]
fn count_is_exact_up_to_its_limit() {
    let all = RejectionSearch::default();
    for (rows, count, is_complete) in [(0, 0, true), (200, 200, true), (201, 200, false)] {
        let counted = count_matches(&database(1..=rows), &all).unwrap();
        assert_eq!(counted, MatchCount { count, is_complete }, "{rows}");
    }
}

#[test]
fn page_ends_at_the_limit_on_bytes() {
    let connection = database(1..=20);
    let large = "x ".repeat(200 << 10).into_bytes();
    connection.execute("UPDATE rejections SET body = ?1 WHERE id > 10", [&large]).unwrap();
    let page = page(&connection, &search_of("missing OR absent"), None, 50).unwrap();
    assert_eq!((page.next, page.is_cut), (Some(18.into()), true));
    let counted = count_matches(&connection, &search_of("missing OR absent")).unwrap();
    assert_eq!(counted, MatchCount { count: 0, is_complete: false });
}

#[test]
fn scan_ends_after_its_time() {
    let connection = database(1..=100);
    for (query, is_text) in [("source:missing", false), ("missing", true)] {
        let search = search_of(query);
        let limits = ScanLimits { matches: 1, rows: usize::MAX, time: Duration::ZERO };
        let scan = RejectionScan { search: &search, below: RejectionId::END, limits };
        let found = scan.run(&connection, "id", |_| Ok(())).unwrap();
        // A scan that reads text looks at the clock after each row, others after each slice.
        let stopped_at: RejectionId = if is_text { 100.into() } else { 71.into() };
        assert_eq!(found.stopped_at, Some(stopped_at), "{query}");
    }
}

#[test]
fn damaged_rejection_is_skipped_and_noted() {
    let connection = database(1..=100);
    // Not UTF-8.
    connection.execute("UPDATE rejections SET source = CAST(x'ff' AS TEXT) WHERE id = 70", []).unwrap();
    let found = listed(&connection, &RejectionSearch::default(), 200);
    assert_eq!(found, (1..=100).rev().filter(|id| *id != 70).collect::<Vec<_>>());
    assert!(damage::take().is_some());
    let search = search_of("-source:shop one");
    let expected: Vec<i64> = listed(&database((1..=100).filter(|id| *id != 70)), &search, 200);
    assert_eq!(listed(&connection, &search, 200), expected);
    assert!(damage::take().is_some());
}

#[test]
fn scan_reads_slices_by_id_and_times_from_their_index() {
    let connection = database([]);
    let plan = |sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = vec![rusqlite::types::Value::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3));
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    for sql in [RANGE_OF_TIME, LISTED] {
        let plan = plan(sql);
        assert!(plan.contains("USING COVERING INDEX rejections_received_at (received_at>"), "{sql}: {plan}");
    }
    let query = MessageQuery::parse("after:2026-11-22 source:shop is:rejected order").unwrap();
    let condition = SqlCondition::of_table(&query, SearchedTable::Rejections);
    for sql in [SLICE, REMAINING, &sql(read::HEAD, true, &condition.sql)] {
        let plan = plan(sql);
        assert!(plan.contains("USING INTEGER PRIMARY KEY"), "{sql}: {plan}");
        assert!(!plan.contains("B-TREE"), "{sql}: {plan}");
    }
}
