//! Queries: SQL and the matcher agree, and a page reports where it stopped.

use rusqlite::params;
use time::OffsetDateTime;

use super::*;
use crate::query::{
    MessageFacts, MessageFlags, MessageQuery, MessageState, MessageText, SearchedDelivery, SearchedMessage,
};
use crate::store::damage;

/// Terms that differ in most columns, and some that need the text.
const TERMS: [&str; 39] = [
    "source:shop",
    "source:github,emitted",
    "event:push",
    "event:shop.push",
    "event:shop.*",
    "event:*.paid",
    "event:p?sh",
    "event:[p]ush",
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
    "is:delivered",
    "is:conflict",
    "is:duplicate",
    "is:notjson",
    "is:unsigned",
    "is:unverified",
    "is:awaiting",
    "is:rejected",
    "to:deploy",
    "to:billing,deploy",
    "to:laptop",
    "larger:20",
    "smaller:20",
    "larger:0",
    "order",
    "\"order 1\"",
    ".order:>10",
    ".order:3",
    "header.x-a:one",
    "one OR plain",
    "header.authorization:*",
];

struct ExampleRow {
    id: i64,
    source: &'static str,
    event: &'static str,
    owner: Option<&'static str>,
    delivery_id: Option<String>,
    method: &'static str,
    confirmation: Option<&'static str>,
    payload: Option<String>,
    body: Option<Vec<u8>>,
    deliveries: Vec<SearchedDelivery<'static>>,
}

/// The row of this number; the numbers make all combinations of its properties.
fn row(id: i64) -> ExampleRow {
    let pick =
        |from: &[&'static str], divisor: i64| from[usize::try_from(id / divisor).unwrap() % from.len()];
    let (source, event) = match id % 8 {
        0 | 4 => ("shop", "shop.paid"),
        1 | 5 => ("github", "github.push"),
        2 | 6 => ("emitted", "order.paid"),
        3 => ("shop", "shop.p?sh"),
        _ => ("shop", "shop.push\0x"),
    };
    let (payload, body) = match id % 5 {
        0 => (None, Some(b"plain order 17".to_vec())),
        1 => (None, None),
        2 => (Some(format!(r#"{{"order":"{id}"}}"#)), Some(format!("order={id}&text=order 1").into_bytes())),
        _ => (Some(format!(r#"{{"order":{id},"text":"order 1"}}"#)), None),
    };
    let delivery = |target, state| SearchedDelivery { target, state };
    let deliveries = match id % 7 {
        0 => vec![delivery("deploy", Some(MessageState::Dead))],
        1 => vec![
            delivery("deploy", Some(MessageState::Delivered)),
            delivery("billing", Some(MessageState::Dead)),
        ],
        2 => vec![delivery("billing", Some(MessageState::Pending))],
        3 => vec![delivery("billing", None)],
        _ => Vec::new(),
    };
    ExampleRow {
        id,
        source,
        event,
        owner: (id % 3 == 0).then(|| pick(&["ann", "bob"], 3)),
        delivery_id: (id % 4 != 3).then(|| format!("d-{id}")),
        method: pick(&["POST", "PUT", "GET"], 2),
        confirmation: [None, Some("awaiting"), Some("refused"), Some("confirmed")]
            [usize::try_from(id / 3).unwrap() % 4],
        payload,
        body,
        deliveries,
    }
}

const HEADERS: &str = r#"{"authorization":"[redacted]","x-a":["one","two"]}"#;
const ROWS: i64 = 60;

fn filled() -> Connection {
    let connection = database([]);
    for (id, name, kind) in [(1, "deploy", "http"), (2, "billing", "http"), (3, "laptop", "listener")] {
        connection
            .execute(
                "INSERT INTO targets (id, name, kind, origin, state, state_since, events, concurrency, ordering, timeout_seconds, created_at, updated_at)
                 VALUES (?1, ?2, ?3, 'api', 'active', '', '[]', 1, 'any', 1, '', '')",
                params![id, name, kind],
            )
            .unwrap();
    }
    for row in (1..=ROWS).map(row) {
        let ExampleRow {
            id,
            source,
            event,
            owner,
            delivery_id,
            method,
            confirmation,
            payload,
            body,
            deliveries,
        } = row;
        connection
            .execute(
                "INSERT INTO messages (id, received_at, source, event, owner, delivery_id, method, remote_ip, body_sha256,
                   not_json, body_unsigned, unverified, conflict_of, duplicates, confirmation, headers, payload, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, x'00', ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
                params![
                    id, at(id / 2), source, event, owner, delivery_id, method,
                    format!("192.0.2.{}", id % 3), id % 5 == 0, id % 8 == 0, id % 9 == 0,
                    (id % 10 == 0).then_some(1), id % 4 / 3, confirmation, HEADERS, payload, body,
                ],
            )
            .unwrap();
        if let Some(state) = confirmation {
            connection
                .execute(
                    "INSERT INTO confirmations (message_id, source, state, due_at) VALUES (?1, ?2, ?3, '')",
                    params![id, source, state],
                )
                .unwrap();
        }
        let deliver = |target: &str, state: &str| {
            connection
                .execute(
                    "INSERT INTO deliveries (message_id, target_id, state, attempts, created_at, due_at)
                     SELECT ?1, id, ?3, ?4, '', '' FROM targets WHERE name = ?2",
                    params![id, target, state, id % 2],
                )
                .unwrap()
        };
        for SearchedDelivery { target, state } in deliveries {
            deliver(target, state.map_or("replayed", MessageState::name));
        }
        // Deliveries to listeners do not count.
        deliver("laptop", "pending");
    }
    connection
}

fn matches(query: &MessageQuery, row: &ExampleRow) -> bool {
    let id = row.id;
    let body_bytes = row.body.as_ref().map(Vec::len).or(row.payload.as_ref().map(String::len)).unwrap_or(0);
    let facts = MessageFacts {
        id: Some(id),
        received_at: at(id / 2).to_time(),
        source: row.source,
        event: Some(row.event),
        owner: row.owner,
        method: row.method,
        remote_ip: format!("192.0.2.{}", id % 3).parse().ok(),
        body_bytes: u64::try_from(body_bytes).unwrap(),
        flags: MessageFlags {
            is_conflict: id % 10 == 0,
            is_duplicate: id % 4 == 3,
            is_not_json: id % 5 == 0,
            is_unsigned: id % 8 == 0,
            is_unverified: id % 9 == 0,
            is_awaiting: row.confirmation == Some("awaiting"),
            is_rejected: id % 9 == 0 || row.confirmation == Some("refused"),
            is_emitted: row.source == "emitted",
        },
        deliveries: &row.deliveries,
    };
    let text = MessageText {
        delivery_id: row.delivery_id.as_deref(),
        query: None,
        headers: &[("x-a", "one"), ("x-a", "two")],
        body: row.body.as_deref(),
        payload: row.payload.as_deref(),
    };
    query.matches(&SearchedMessage { facts, text }, OffsetDateTime::UNIX_EPOCH)
}

fn filter_of(query: &str) -> MessageFilter {
    let query = MessageQuery::parse(query).unwrap().resolve(OffsetDateTime::UNIX_EPOCH);
    MessageFilter { q: Some(query), ..MessageFilter::default() }
}

#[test]
fn page_has_the_messages_that_the_matcher_selects() {
    let connection = filled();
    let mut selecting = 0;
    let all: Vec<String> = TERMS.iter().flat_map(|term| [(*term).to_owned(), format!("-{term}")]).collect();
    let pairs = (0..TERMS.len()).map(|at| format!("{} {}", all[2 * at], all[(14 * at + 31) % all.len()]));
    for query in all.iter().cloned().chain(pairs).filter(|query| !query.contains("-one OR")) {
        let Ok(parsed) = MessageQuery::parse(&query) else { panic!("{query}") };
        let expected: Vec<i64> = (1..=ROWS).rev().filter(|id| matches(&parsed, &row(*id))).collect();
        let found = listed(&connection, &filter_of(&query), Direction::NewestFirst, 7);
        assert_eq!(found.iter().map(|id| id.get()).collect::<Vec<_>>(), expected, "{query}");
        selecting += usize::from(!expected.is_empty() && expected.len() < 60);
    }
    assert!(selecting > 80, "only {selecting} queries select some of the messages");
}

#[test]
fn query_is_restricted_by_the_other_filters() {
    let connection = filled();
    let filter = MessageFilter {
        source: Some("shop".to_owned()),
        since: Some(at(10)),
        ..filter_of("order before:2026-11-22T00:20")
    };
    let ids = listed(&connection, &filter, Direction::OldestFirst, 100);
    assert!(!ids.is_empty() && ids.iter().all(|id| (20..40).contains(&id.get())), "{ids:?}");
    let filter = MessageFilter { ids: vec![4.into(), 6.into()], ..filter_of("source:shop") };
    assert_eq!(listed(&connection, &filter, Direction::NewestFirst, 100), [4]);
    assert_eq!(listed(&connection, &filter_of("#4 order"), Direction::NewestFirst, 100), [4]);
}

#[test]
fn page_without_a_match_reports_how_far_it_looked() {
    let connection = database(0..250);
    let page = |from, limit| {
        message::read::page(&connection, None, &filter_of("missing"), Direction::NewestFirst, from, limit)
            .unwrap()
    };
    let first = page(None, 50);
    assert!(first.messages.is_empty() && first.is_cut);
    assert_eq!((first.next, first.looked_back_to), (Some(151.into()), Some(at(150).into())));
    let last = page(Some(51.into()), 50);
    assert_eq!((last.next, last.is_cut, last.looked_back_to), (None, false, None));
    // All messages were examined, exactly as many as a page examines.
    let exact = page(Some(101.into()), 50);
    assert_eq!((exact.next, exact.is_cut, exact.looked_back_to), (None, false, None));
    // A full page is not cut.
    let full =
        message::read::page(&connection, None, &filter_of("1"), Direction::NewestFirst, None, 2).unwrap();
    assert_eq!((full.messages.len(), full.next, full.is_cut), (2, Some(249.into()), false));
}

#[test]
fn page_ends_at_the_limit_on_bytes() {
    let connection = database(0..20);
    let large = format!("\"{}\"", "x ".repeat(200 << 10));
    connection.execute("UPDATE messages SET payload = ?1 WHERE id > 10", [&large]).unwrap();
    let page = message::read::page(
        &connection,
        None,
        &filter_of("missing OR absent"),
        Direction::NewestFirst,
        None,
        50,
    )
    .unwrap();
    assert_eq!((page.next, page.is_cut), (Some(18.into()), true));
    assert_eq!(counted(&connection, filter_of("1"), 0, 20).0, 10);
    // The limit at the last message leaves nothing to examine.
    connection.execute("DELETE FROM messages WHERE id < 18", []).unwrap();
    let page = message::read::page(
        &connection,
        None,
        &filter_of("missing OR absent"),
        Direction::NewestFirst,
        None,
        50,
    )
    .unwrap();
    assert_eq!((page.next, page.is_cut), (None, false));
}

#[test]
fn query_with_most_values_is_searched_in_smaller_pages() {
    let connection = filled();
    let all = filter_of(&format!("event:*{}", ",*".repeat(63)));
    assert_eq!(listed(&connection, &all, Direction::NewestFirst, 100).len(), 60);
    let max_scanned = |query| message::filter::max_scanned_per_page(&filter_of(query));
    assert_eq!(max_scanned("source:a,b is:dead"), 20_000);
    assert_eq!(max_scanned("source:a,b,c,d,e event:f,g,h"), 10_000);
    assert_eq!(message::filter::max_scanned_per_page(&all), 2_222);
}

#[test]
fn counts_of_a_dead_letter_replay_are_complete_after_a_limit() {
    let connection = filled();
    let large = format!("\"order {}\"", "x ".repeat(300 << 10));
    connection
        .execute("UPDATE messages SET payload = ?1, body = NULL WHERE id % 7 < 2 AND id < 30", [&large])
        .unwrap();
    let filter = MessageFilter { dead: true, ..filter_of("order") };
    let mut from = MessageId::START;
    let (mut messages, mut letters) = (0, 0);
    loop {
        let scope = ReplayScope {
            filter: filter.clone(),
            target_owner: None,
            only_dead_letters: true,
            through: ROWS.into(),
        };
        let step = count_step(&connection, None, &scope, from).unwrap();
        messages += step.messages;
        letters += step.dead_letters.values().map(|one| one.deliveries).sum::<u64>();
        let Some(next) = step.next else { break };
        from = next;
    }
    let is_dead = |id: &i64| id % 7 < 2 && row(*id).confirmation.is_none_or(|state| state == "confirmed");
    // A message without a body does not have the word.
    let expected = (1..=ROWS).filter(is_dead).filter(|id| *id < 30 || id % 5 != 1).count();
    assert_eq!((messages, letters), (expected as u64, expected as u64));
}

#[test]
fn stored_filter_keeps_its_query() {
    let filter = filter_of("event:push after:2026-11-22 \"a \\\"b\\\"\" .x:>1");
    let stored = serde_json::to_string(&filter).unwrap();
    assert_eq!(MessageFilter::parse_stored(&stored).unwrap(), filter);
    // An unknown field, such as `text` in filters before the query, is an error.
    for unknown in [r#"{"source":"shop","text":"order 1","dead":false}"#, r#"{"sources":"shop"}"#] {
        assert!(MessageFilter::parse_stored(unknown).is_err(), "{unknown}");
    }
    // An edited query that is unreadable, or whose times are not moments, selects nothing.
    for query in
        ["srouce:shop", "after:2h", "-before:2h", "after:1970-01-01", "at:2999-01-01T00:00:00.000000Z"]
    {
        let edited = MessageFilter::parse_stored(&format!(r#"{{"q":"{query}"}}"#)).unwrap();
        let found = listed(&filled(), &edited, Direction::NewestFirst, 100);
        assert_eq!(found, Vec::<MessageId>::new(), "{query}");
    }
}

#[test]
fn deliveries_are_counted_by_state() {
    let connection = filled();
    let ids: Vec<MessageId> = (1..=ROWS).map(MessageId::from).collect();
    let counts = crate::store::delivery::counts::count_by_state(&connection, &ids).unwrap();
    for id in 1..=ROWS {
        let found = counts
            .get(&id.into())
            .map(|counts| (counts.delivered, counts.pending, counts.failed, counts.dead));
        let is_tried = u32::try_from(id % 2).unwrap();
        let expected = match id % 7 {
            0 => Some((0, 0, 0, 1)),
            1 => Some((1, 0, 0, 1)),
            2 => Some((0, 1 - is_tried, is_tried, 0)),
            3 => Some((0, 0, 0, 0)),
            _ => None,
        };
        assert_eq!(found, expected, "{id}");
    }
}

#[test]
fn name_sample_has_rare_and_old_names() {
    let connection = database((0..8_000).map(|number| number % 1_000));
    connection.execute("UPDATE messages SET source = 'old', event = 'old.x' WHERE id <= 100", []).unwrap();
    connection.execute("UPDATE messages SET source = 'new', event = 'new.x' WHERE id = 8000", []).unwrap();
    let sample = message::names::sample(&connection).unwrap();
    assert_eq!(
        sample.sources.iter().map(String::as_str).collect::<Vec<_>>(),
        ["common", "new", "old", "rare"]
    );
    assert!(sample.events.contains(&("old".to_owned(), "old.x".to_owned())));
}

#[test]
fn damaged_row_leaves_all_names_undecided() {
    let connection = database(0..10);
    assert!(!message::names::sample(&connection).unwrap().is_damaged);
    // Not UTF-8.
    connection.execute("UPDATE messages SET source = CAST(x'ff' AS TEXT) WHERE id = 7", []).unwrap();
    assert!(message::names::sample(&connection).unwrap().is_damaged);
    assert!(damage::take().is_some());
}
