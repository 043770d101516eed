//! Searches with the index, compared with the matcher.

mod life;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::{Connection, params};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::query::{MessageFacts, MessageFlags, MessageQuery, MessageText, SearchedMessage};
use crate::store::message::filter::{Direction, MessageFilter};
use crate::store::options::SearchOptions;
use crate::store::tests::setup::{Setup, options, with_id};
use crate::store::{IndexState, MessageId, Store, StoreOptions, Timestamp};

const MESSAGES: usize = 2_000;
const QUERIES: usize = 500;
const START: OffsetDateTime = datetime!(2026-11-22 00:00 UTC);

#[derive(Clone, Debug)]
struct Example {
    minute: i64,
    source: &'static str,
    kind: &'static str,
    method: &'static str,
    delivery_id: Option<String>,
    query: Option<String>,
    header: String,
    body: String,
    is_json: bool,
    is_unverified: bool,
}

/// Words with which messages and queries are made, so that some meet.
const WORD: &str = "(order|ord|paid|17|18|3\\.0|failed|refunded|straße|日本|é|a-b|\\\\u0041x|0123456789abcdef0123456[789]|0123456789abcdef01234567x)";

fn examples() -> impl Strategy<Value = Example> {
    let text = prop::collection::vec(WORD, 0..5).prop_map(|words| words.join(" "));
    let json =
        (text.clone(), text.clone(), 0..40_i64, any::<bool>()).prop_map(|(one, other, number, flag)| {
            format!(r#"{{"text":"{one}","list":[{{"status":"{other}","n":{number}}}],"flag":{flag}}}"#)
        });
    let head = (
        0..2_000_i64,
        prop::sample::select(vec!["shop", "github", "emitted"]),
        prop::sample::select(vec!["paid", "push", "order.paid"]),
        prop::sample::select(vec!["POST", "PUT"]),
        prop::option::of("evt_[0-9]{3}"),
    );
    let content = (prop::option::of("q=[a-c]{1,2}%20order"), text.clone(), json, text, 0..8_u8);
    (head, content).prop_map(
        |((minute, source, kind, method, delivery_id), (query, header, json, plain, chance))| Example {
            minute,
            source,
            kind,
            method,
            delivery_id,
            query,
            header: header.replace('\\', ""),
            body: if chance == 0 { plain } else { json },
            is_json: chance != 0,
            is_unverified: chance == 1,
        },
    )
}

fn queries() -> impl Strategy<Value = String> {
    let word = WORD.prop_map(|word: String| word.replace("\\u0041", "a"));
    let term = prop_oneof![
        4 => word.clone(),
        2 => "(or|ord|pa|1|str|日|evt|0123456789abcdef0123456[7]?)[*]",
        2 => (word.clone(), word.clone()).prop_map(|(one, other)| format!("\"{one} {other}\"")),
        1 => (word.clone(), word).prop_map(|(one, other)| format!("{one} OR {other}")),
        2 => "(source:(shop|github|shop,emitted|none)|event:(paid|shop[.]push|order[.][*]|[*]paid))",
        2 => "[.](status|list[.]status|text):(order|failed|ord[*]|[*])",
        1 => "[.]n:(>30|<=2|17|3)",
        1 => "[.]flag:(true|false)",
        1 => "header[.]x-a:(order|[*])",
        1 => "(id:evt_[0-9]{3}|method:put|is:unverified|is:notjson|#[0-9]{1,3}|ip:192[.]0[.]2[.]1)",
        2 => "(after|before|at):2026-11-22T(0|1|2)[0-3]:30",
    ];
    let clause =
        (prop::sample::select(vec!["", "", "", "-"]), term).prop_map(|(sign, term)| sign.to_owned() + &term);
    prop::collection::vec(clause, 1..4).prop_map(|clauses| clauses.join(" "))
}

fn generated<T>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn received_at(example: &Example) -> OffsetDateTime {
    START + time::Duration::minutes(example.minute)
}

fn insert(connection: &Connection, example: &Example) {
    let (payload, body) = match example.is_json {
        true => (Some(&example.body), None),
        false => (None, Some(example.body.as_bytes())),
    };
    connection
        .execute(
            "INSERT INTO messages (received_at, source, event, delivery_id, method, query, remote_ip, body_sha256, not_json,
               unverified, headers, payload, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, '192.0.2.1', x'00', ?7, ?8, ?9, ?10, ?11)",
            params![
                Timestamp::from(received_at(example)), example.source, event(example), example.delivery_id,
                example.method, example.query, !example.is_json, example.is_unverified,
                format!(r#"{{"authorization":"[redacted]","x-a":"{}"}}"#, example.header), payload, body,
            ],
        )
        .unwrap();
}

fn event(example: &Example) -> String {
    match example.source {
        "emitted" => example.kind.to_owned(),
        source => format!("{source}.{}", example.kind),
    }
}

fn matches(query: &MessageQuery, example: &Example, id: usize) -> bool {
    let event = event(example);
    let facts = MessageFacts {
        id: Some(i64::try_from(id).unwrap()),
        received_at: received_at(example),
        source: example.source,
        event: Some(&event),
        owner: None,
        method: example.method,
        remote_ip: "192.0.2.1".parse().ok(),
        body_bytes: u64::try_from(example.body.len()).unwrap(),
        flags: MessageFlags {
            is_not_json: !example.is_json,
            is_unverified: example.is_unverified,
            is_rejected: example.is_unverified,
            is_emitted: example.source == "emitted",
            ..MessageFlags::default()
        },
        deliveries: &[],
    };
    let text = MessageText {
        delivery_id: example.delivery_id.as_deref(),
        query: example.query.as_deref(),
        headers: &[("x-a", &example.header)],
        body: (!example.is_json).then_some(example.body.as_bytes()),
        payload: example.is_json.then_some(&*example.body),
    };
    query.matches(&SearchedMessage { facts, text }, START)
}

/// A store with an index, and these messages, which are older than the index.
fn open(setup: &Setup, examples: &[Example]) -> Store {
    setup.close(setup.open());
    let mut connection = Connection::open(setup.path()).unwrap();
    let transaction = connection.transaction().unwrap();
    examples.iter().for_each(|example| insert(&transaction, example));
    transaction.commit().unwrap();
    drop(connection);
    open_with_index(setup)
}

fn open_with_index(setup: &Setup) -> Store {
    let search = Some(SearchOptions::default());
    Store::open(&StoreOptions { search, ..options(&setup.path()) }).unwrap()
}

fn status(setup: &Setup, store: &Store) -> crate::store::index::IndexStatus {
    let newest = setup.runtime.block_on(store.reads().newest_message()).unwrap();
    store.reads().index_status(newest).unwrap()
}

/// Waits until the status is as expected.
fn wait_until(setup: &Setup, store: &Store, is_reached: impl Fn(&crate::store::index::IndexStatus) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_reached(&status(setup, store)) {
        assert!(Instant::now() < deadline, "{:?}", status(setup, store));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait(setup: &Setup, store: &Store) {
    wait_until(setup, store, |status| status.lag_messages == 0 && status.state == IndexState::Ready);
}

/// Returns the ids on all pages, and the number of pages.
fn found(setup: &Setup, store: &Store, query: &str, direction: Direction, limit: usize) -> (Vec<i64>, usize) {
    let q = MessageQuery::parse(query).unwrap().resolve(START);
    let filter = MessageFilter { q: Some(q), ..MessageFilter::default() };
    let (mut ids, mut from, mut pages) = (Vec::new(), None, 0);
    loop {
        let page =
            setup.runtime.block_on(store.reads().messages(filter.clone(), direction, from, limit)).unwrap();
        ids.extend(page.messages.iter().map(|row| row.id.get()));
        pages += 1;
        match page.next {
            Some(next) => from = Some(next),
            None => return (ids, pages),
        }
    }
}

fn count(setup: &Setup, store: &Store, query: &str) -> usize {
    found(setup, store, query, Direction::NewestFirst, 50).0.len()
}

#[test]
fn search_finds_the_messages_that_the_matcher_selects() {
    let setup = Setup::new();
    let examples = generated(examples(), MESSAGES);
    let store = open(&setup, &examples);
    wait(&setup, &store);
    assert!(status(&setup, &store).generations > 10);
    let mut selecting = 0;
    for query in generated(queries(), 2 * QUERIES)
        .iter()
        .filter(|query| MessageQuery::parse(query).is_ok())
        .take(QUERIES)
    {
        let parsed = MessageQuery::parse(query).unwrap().resolve(START);
        let matching = |id: &usize| matches(&parsed, &examples[*id - 1], *id);
        let expected: Vec<i64> =
            (1..=MESSAGES).filter(matching).map(|id| i64::try_from(id).unwrap()).collect();
        let (ascending, _) = found(&setup, &store, query, Direction::OldestFirst, 37);
        assert_eq!(ascending, expected, "{query}");
        let (mut descending, _) = found(&setup, &store, query, Direction::NewestFirst, 50);
        descending.reverse();
        assert_eq!(descending, expected, "{query}");
        selecting += usize::from(!expected.is_empty() && expected.len() < MESSAGES);
    }
    assert!(selecting > QUERIES / 2, "only {selecting} queries select some of the messages");
    setup.close(store);
}

#[test]
fn long_bodies_have_the_words_of_their_beginning() {
    let setup = Setup::new();
    setup.close(setup.open());
    let connection = Connection::open(setup.path()).unwrap();
    let text = format!("an é ox {} \u{e9}", "\u{e9}. ".repeat(400_000));
    let json = format!(r#"{{"an":"ox","filler":"{}"}}"#, "é. ".repeat(400_000));
    let binary = [text.as_bytes(), &[0xff]].concat();
    let compressed = [b"wxyz ", &[0xff][..], &vec![b' '; 2 << 20]].concat();
    for (payload, body) in
        [(None, Some(text.into_bytes())), (Some(json), None), (None, Some(binary)), (None, Some(compressed))]
    {
        connection
            .execute(
                "INSERT INTO messages (received_at, source, event, method, remote_ip, body_sha256, headers, payload, body)
                 VALUES ('2026-11-22T00:00:00.000000Z', 'a', 'a.b', 'POST', '::1', x'00', '{}', ?1, ?2)",
                params![payload, body],
            )
            .unwrap();
    }
    drop(connection);
    let queries = ["an ox", "ox", "é", "\"é ox\"", "wxyz", "filler", ".an:ox"];
    let store = setup.open();
    let expected = queries.map(|query| found(&setup, &store, query, Direction::OldestFirst, 50).0);
    assert_eq!(expected[1], [1, 2, 3]);
    setup.close(store);
    let store = open_with_index(&setup);
    wait(&setup, &store);
    for (query, expected) in queries.iter().zip(expected) {
        assert_eq!(found(&setup, &store, query, Direction::OldestFirst, 50).0, expected, "{query}");
    }
    setup.close(store);
}

#[test]
fn absent_word_takes_one_page() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 500));
    assert!(found(&setup, &store, "zebra", Direction::NewestFirst, 50).0.is_empty());
    wait(&setup, &store);
    assert_eq!(found(&setup, &store, "zebra", Direction::NewestFirst, 50), (Vec::new(), 1));
    assert_eq!(
        found(&setup, &store, "zebra source:shop after:2026-11-22", Direction::NewestFirst, 50),
        (Vec::new(), 1)
    );
    setup.close(store);
}

#[test]
fn new_message_is_found_before_it_is_indexed() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 100));
    wait(&setup, &store);
    for number in 0..50 {
        let word = format!("unique{number}");
        setup.keep(&store, with_id(&word, &format!(r#"{{"word":"{word}"}}"#))).unwrap();
        assert_eq!(count(&setup, &store, &word), 1);
    }
    wait(&setup, &store);
    assert_eq!(count(&setup, &store, "unique*"), 50);
    setup.close(store);
}

#[test]
fn message_with_replaced_headers_is_found() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 300));
    wait(&setup, &store);
    crate::store::test_support::change(
        &setup.path(),
        r#"UPDATE messages SET headers = '{"x-a":"replaced"}' WHERE id IN (7, 150);
           INSERT INTO confirmations (message_id, source, state, due_at, has_new_headers)
             VALUES (7, 'shop', 'awaiting', '', 1), (150, 'shop', 'confirmed', '', 1)"#,
    );
    assert_eq!(found(&setup, &store, "replaced", Direction::NewestFirst, 50).0, [150, 7]);
    assert_eq!(found(&setup, &store, "replaced", Direction::OldestFirst, 1).0, [7, 150]);
    setup.close(store);
}
