//! Order and completeness of searches, compared with a read of the whole table, and their query
//! plans.

mod queries;

use rusqlite::{Connection, params};

use super::rows::*;
use super::*;
use crate::store::id::MessageId;
use crate::store::message::filter::{Direction, MessageFilter};
use crate::store::replay::count::{ReplayScope, count_step};
use crate::store::timestamp::Timestamp;
use crate::store::{message, schema};

fn at(minute: i64) -> Timestamp {
    Timestamp::try_from(format!("2026-11-22T{:02}:{:02}:00.000000Z", minute / 60, minute % 60).as_str())
        .unwrap()
}

/// Messages received at these minutes, with ids from 1 on.
fn database(minutes: impl IntoIterator<Item = i64>) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    for (number, minute) in minutes.into_iter().enumerate() {
        connection
            .execute(
                "INSERT INTO messages (received_at, source, event, method, remote_ip, body_sha256, headers, payload)
                 VALUES (?1, ?2, 'a.b', 'POST', '::1', x'00', '{}', '1')",
                params![at(minute), if number % 7 == 0 { "rare" } else { "common" }],
            )
            .unwrap();
    }
    connection
}

/// Returns the ids on all pages of a list.
fn listed(
    connection: &Connection,
    filter: &MessageFilter,
    direction: Direction,
    limit: usize,
) -> Vec<MessageId> {
    let mut from = None;
    let mut found = Vec::new();
    loop {
        let page = message::read::page(connection, None, filter, direction, from, limit).unwrap();
        found.extend(page.messages.iter().map(|head| head.id));
        match page.next {
            Some(next) => from = Some(next),
            None => return found,
        }
    }
}

fn expected(connection: &Connection, filter: &MessageFilter, direction: Direction) -> Vec<MessageId> {
    let mut statement = connection
        .prepare(
            "SELECT id FROM messages WHERE received_at >= ?1 AND received_at < ?2 AND source = coalesce(?3, source) ORDER BY id",
        )
        .unwrap();
    let (since, until) = (filter.since.unwrap_or(Timestamp::MIN), filter.until.unwrap_or(Timestamp::MAX));
    let rows = statement.query_map(params![since, until, filter.source], |row| row.get(0));
    let mut ids: Vec<MessageId> = rows.unwrap().map(Result::unwrap).collect();
    if direction == Direction::NewestFirst {
        ids.reverse();
    }
    ids
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let values = vec![rusqlite::types::Value::Null; count];
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn time_filter_searches_index_on_time() {
    let connection = database([]);
    for sql in [IDS_OF_TIME, LAST_OF_TIME, FIRST_OF_TIME, LISTED_DOWN, LISTED_UP] {
        let plan = plan(&connection, sql);
        let index =
            "SEARCH messages USING COVERING INDEX messages_received_at (received_at>? AND received_at<?)";
        assert_eq!(plan[0], index, "{sql}");
    }
    for sql in [NEAREST_DOWN, NEAREST_UP, WALK_DOWN, WALK_UP] {
        let plan = plan(&connection, sql);
        assert!(plan.iter().any(|step| step.contains("USING INTEGER PRIMARY KEY")), "{sql}: {plan:?}");
        assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{sql}: {plan:?}");
    }
}

#[test]
fn time_filter_is_complete_for_times_in_other_order_than_ids() {
    // As after a clock was set back, and with released rejections, which have later ids than other
    // messages of their time.
    let orders: [Box<dyn Fn(i64) -> i64>; 4] = [
        Box::new(|number| number),
        Box::new(|number| if (200..300).contains(&number) { number - 150 } else { number }),
        Box::new(|number| if number % 11 == 0 { number / 3 } else { number }),
        Box::new(|number| (number * 7_919) % 500),
    ];
    for order in orders {
        let connection = database((0..500).map(order));
        for (since, until) in
            [(None, Some(100)), (Some(400), None), (Some(120), Some(150)), (Some(50), Some(450))]
        {
            for source in [None, Some("rare".to_owned())] {
                let (since, until) = (since.map(at), until.map(at));
                let filter = MessageFilter { since, until, source, ..MessageFilter::default() };
                for direction in [Direction::NewestFirst, Direction::OldestFirst] {
                    for limit in [1, 7, 200] {
                        assert_eq!(
                            listed(&connection, &filter, direction, limit),
                            expected(&connection, &filter, direction),
                            "{filter:?} {direction:?} {limit}"
                        );
                    }
                }
                let found = expected(&connection, &filter, Direction::OldestFirst).len() as u64;
                assert_eq!(counted(&connection, filter, 0, 500), (found, None));
            }
        }
    }
}

fn counted(
    connection: &Connection,
    filter: MessageFilter,
    from: i64,
    through: i64,
) -> (u64, Option<MessageId>) {
    let scope = ReplayScope { filter, target_owner: None, only_dead_letters: false, through: through.into() };
    let step = count_step(connection, None, &scope, from.into()).unwrap();
    (step.messages, step.next)
}

#[test]
fn time_range_without_messages_ends_with_first_page() {
    let connection = database(0..500);
    for (since, until) in [(Some(600), None), (None, Some(0)), (Some(100), Some(100)), (Some(200), Some(100))]
    {
        let (since, until) = (since.map(at), until.map(at));
        let filter = MessageFilter { since, until, ..MessageFilter::default() };
        let page = message::read::page(&connection, None, &filter, Direction::NewestFirst, None, 50).unwrap();
        assert_eq!(page, message::read::MessagePage::default(), "{filter:?}");
    }
}

#[test]
fn old_time_range_is_entered_without_walking_newer_messages() {
    let connection = database(0..500);
    let until = MessageFilter { until: Some(at(400)), ..MessageFilter::default() };
    let search = |filter, direction| Search::new(filter, direction, MessageId::START, MessageId::END);
    let scope = search(&until, Direction::NewestFirst).scope(&connection).unwrap();
    assert_eq!(scope.ranges, [(1.into(), 400.into())]);
    let since = MessageFilter { since: Some(at(100)), ..MessageFilter::default() };
    let scope = search(&since, Direction::OldestFirst).scope(&connection).unwrap();
    assert_eq!(scope.ranges, [(101.into(), 500.into())]);
}

#[test]
fn given_ids_are_found_in_order() {
    let connection = database(0..500);
    let filter = MessageFilter {
        ids: vec![400.into(), 3.into(), 9_999.into(), 3.into(), 77.into()],
        ..MessageFilter::default()
    };
    assert_eq!(listed(&connection, &filter, Direction::NewestFirst, 2), [400, 77, 3]);
    assert_eq!(listed(&connection, &filter, Direction::OldestFirst, 2), [3, 77, 400]);
    assert_eq!(counted(&connection, filter, 3, 400), (2, None));
}

#[test]
fn unreadable_time_in_filter_selects_nothing() {
    let connection = database(0..10);
    for (filter, count) in [
        (r#"{"since":"yesterday"}"#, 0),
        (r#"{"until":"tomorrow"}"#, 0),
        (r#"{"since":"2026-11-22 00:05:00"}"#, 5),
    ] {
        let read: MessageFilter = serde_json::from_str(filter).unwrap();
        assert_eq!(listed(&connection, &read, Direction::OldestFirst, 100).len(), count, "{filter}");
    }
}
