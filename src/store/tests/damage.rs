//! Damaged pages: only the data on them is lost.

use std::os::unix::fs::FileExt as _;

use super::*;
use crate::store::id::MessageId;
use crate::store::replay::count::ReplayScope;

const PAGE_BYTES: u64 = 4_096;
/// Size of a body: three of them fill a page of the table.
const BODY_BYTES: usize = 1_000;

fn body(number: usize) -> String {
    format!("\"{number}{}\"", "x".repeat(BODY_BYTES))
}

/// Returns a closed database with `count` messages, whose keys are merged.
fn filled(count: usize) -> Setup {
    let setup = Setup::new();
    let store = setup.open();
    setup
        .keep_all(&store, (0..count).map(|number| with_id(&format!("id {number}"), &body(number))).collect());
    setup.merge_keys(&store);
    setup.close(store);
    setup
}

/// Returns the pages of one kind (`leaf` or `overflow`) of a table or index, in the order of its
/// content.
fn pages(setup: &Setup, name: &str, kind: &str) -> Vec<u64> {
    let connection = Connection::open(setup.path()).unwrap();
    let mut statement = connection
        .prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = ?2 ORDER BY path")
        .unwrap();
    let rows = statement.query_map([name, kind], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Inverts `count` bytes of a page, from byte `at`.
fn flip(setup: &Setup, page: u64, at: u64, count: usize) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(setup.path()).unwrap();
    let place = (page - 1) * PAGE_BYTES + at;
    let mut bytes = vec![0; count];
    file.read_exact_at(&mut bytes, place).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    file.write_all_at(&bytes, place).unwrap();
}

fn list(setup: &Setup, store: &Store, direction: Direction) -> Vec<MessageId> {
    let page = setup
        .runtime
        .block_on(store.reads().messages(MessageFilter::default(), direction, None, 1_000))
        .unwrap();
    assert_eq!(page.next, None);
    page.messages.iter().map(|head| head.id).collect()
}

fn one(setup: &Setup, store: &Store, id: i64) -> Result<Option<StoredMessage>, Unavailable> {
    setup.runtime.block_on(store.reads().message(id.into()))
}

#[test]
fn damaged_table_page_costs_only_its_rows() {
    let setup = filled(60);
    let leaf = pages(&setup, "messages", "leaf")[3];
    flip(&setup, leaf, 0, 8);
    let store = setup.open();
    assert!(!store.is_damaged());
    let all = list(&setup, &store, Direction::NewestFirst);
    assert!(store.is_damaged() && (50..60).contains(&all.len()), "{all:?}");
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    let mut upwards = list(&setup, &store, Direction::OldestFirst);
    upwards.reverse();
    assert_eq!(upwards, all);
    for id in 1..=60 {
        match one(&setup, &store, id) {
            Ok(Some(_)) => assert!(all.contains(&id.into()), "{id}"),
            found => {
                assert_eq!(found, Err(Unavailable::Damaged), "{id}");
                assert!(!all.contains(&id.into()), "{id}");
            }
        }
    }
    let filter = MessageFilter { source: Some("github".to_owned()), ..MessageFilter::default() };
    let scope = ReplayScope { filter, target_owner: None, only_dead_letters: false, through: 60.into() };
    let counted = setup.runtime.block_on(store.reads().count_to_replay(scope, soon())).unwrap().unwrap();
    assert_eq!(counted.messages, all.len() as u64);
    assert_eq!(setup.keep(&store, with_id("new", "1")), Ok(Receipt::New { id: 61.into() }));
    assert_eq!(store.ready(), Ok(()));
}

#[test]
fn readable_messages_around_damaged_page_are_counted() {
    let setup = filled(200);
    let uncounted = "DELETE FROM hourly_counts; UPDATE count_progress SET counted_through = 0";
    Connection::open(setup.path()).unwrap().execute_batch(uncounted).unwrap();
    flip(&setup, pages(&setup, "messages", "leaf")[30], 0, 8);
    let store = setup.open();
    let step = || setup.runtime.block_on(store.counts().count_older(OffsetDateTime::now_utc())).unwrap();
    assert!((0..100).any(|_| !step()), "counting does not end");
    let readable = list(&setup, &store, Direction::NewestFirst).len();
    assert!(store.is_damaged() && (190..200).contains(&readable), "{readable}");
    assert_eq!(setup.query::<usize>("SELECT sum(messages) FROM hourly_counts"), readable);
}

#[test]
fn flipped_bit_in_body_is_found_by_its_digest() {
    let setup = Setup::new();
    let store = setup.open();
    for number in 0..3 {
        let large = format!("\"{number}{}\"", "x".repeat(20_000));
        setup.keep(&store, with_id(&number.to_string(), &large)).unwrap();
    }
    setup.close(store);
    let overflow = pages(&setup, "messages", "overflow");
    flip(&setup, overflow[1], 2_000, 1);
    let store = setup.open();
    assert_eq!(one(&setup, &store, 1), Err(Unavailable::Damaged));
    assert!(one(&setup, &store, 2).unwrap().is_some());
    assert!(store.is_damaged());
    assert_eq!(list(&setup, &store, Direction::NewestFirst), [3, 2, 1], "the head of message 1 is readable");
}

#[test]
fn broken_overflow_chain_costs_only_its_message() {
    let setup = Setup::new();
    let store = setup.open();
    for number in 0..3 {
        let large = format!("\"{number}{}\"", "x".repeat(20_000));
        setup.keep(&store, with_id(&number.to_string(), &large)).unwrap();
    }
    setup.close(store);
    flip(&setup, pages(&setup, "messages", "overflow")[1], 0, 4);
    let store = setup.open();
    assert_eq!(one(&setup, &store, 1), Err(Unavailable::Damaged));
    assert!(one(&setup, &store, 2).unwrap().is_some() && one(&setup, &store, 3).unwrap().is_some());
}

#[test]
fn resend_of_damaged_message_is_stored() {
    let setup = filled(60);
    flip(&setup, pages(&setup, "messages", "leaf")[3], 0, 8);
    let store = setup.open();
    let left = list(&setup, &store, Direction::NewestFirst);
    for number in 0..60 {
        let kept = setup.keep(&store, with_id(&format!("id {number}"), &body(number))).unwrap();
        let id = number as i64 + 1;
        match left.contains(&id.into()) {
            true => assert_eq!(kept, Receipt::Duplicate { of: id.into() }),
            false => assert!(matches!(kept, Receipt::New { .. }), "{id}: {kept:?}"),
        }
    }
    let after = list(&setup, &store, Direction::NewestFirst);
    assert_eq!(after.len(), 60, "each of them exists exactly once: {after:?}");
}

#[test]
fn damaged_keys_reject_no_message() {
    let setup = filled(2_000);
    let leaves = pages(&setup, "delivery_keys", "leaf");
    let store = setup.open();
    // The store is open, so its filters still contain all keys.
    flip(&setup, leaves[leaves.len() / 2], 0, 8);
    let mut again = 0;
    for number in 0..200 {
        let kept = setup.keep(&store, with_id(&format!("id {number}"), &body(number))).unwrap();
        again += usize::from(matches!(kept, Receipt::New { .. }));
    }
    setup.close(store);
    // After a restart, new messages are stored too.
    let store = setup.open();
    assert!(store.is_damaged());
    assert!(matches!(setup.keep(&store, with_id("new", "1")), Ok(Receipt::New { .. })));
    assert!(again < 200, "keys on other pages are found");
    assert_eq!(store.ready(), Ok(()));
}

#[test]
fn inbox_is_not_ready_while_damage_keeps_messages_out() {
    let setup = filled(60);
    flip(&setup, *pages(&setup, "messages", "leaf").last().unwrap(), 0, 8);
    let store = setup.open();
    assert_eq!(store.ready(), Ok(()), "the damage is not detected yet");
    assert_eq!(setup.keep(&store, with_id("new", "1")), Err(Unavailable::Damaged));
    assert_eq!(store.ready(), Err(Unavailable::Damaged));
    assert!(store.is_damaged());
    assert!(one(&setup, &store, 1).unwrap().is_some(), "readable messages are served");
}

/// SQLite fails after the content was dropped, so the message cannot be written again as new.
#[test]
fn large_message_on_damaged_page_is_rejected_not_emptied() {
    let setup = filled(60);
    flip(&setup, *pages(&setup, "messages", "leaf").last().unwrap(), 0, 8);
    let store = setup.open();
    let large = format!("\"{}\"", "x".repeat(LARGE_BYTES));
    assert_eq!(setup.keep(&store, with_id("large", &large)), Err(Unavailable::Damaged));
    assert_eq!(store.ready(), Err(Unavailable::Damaged));
    assert!(list(&setup, &store, Direction::NewestFirst).iter().all(|id| *id <= 60.into()));
}

/// Damages one overflow page of the message each time: the first, one in between, or the last one
/// that points to another page.
#[test]
fn repeat_of_large_damaged_message_is_stored() {
    let large = |number: usize| format!("\"{number}{}\"", "x".repeat(LARGE_BYTES));
    let form = |number: usize| {
        let body = format!("a={}", large(number));
        let payload = format!("{{\"a\":\"{number}{}\"}}", "x".repeat(LARGE_BYTES));
        let content = MessageContent::Decoded { body: Bytes::from(body.clone()), payload };
        NewMessage { content, ..with_id(&number.to_string(), &body) }
    };
    let json = |number: usize| with_id(&number.to_string(), &large(number));
    for make in [&json as &dyn Fn(usize) -> NewMessage, &form] {
        for place in [0.0, 0.2, 0.5, 0.7, 1.0] {
            let setup = Setup::new();
            let store = setup.open();
            for number in 0..2 {
                setup.keep(&store, make(number)).unwrap();
            }
            setup.close(store);
            let overflow = pages(&setup, "messages", "overflow");
            let last_with_next = overflow.len() / 2 - 2;
            flip(&setup, overflow[(place * last_with_next as f64) as usize], 0, 4);
            let store = setup.open();
            assert_eq!(setup.keep(&store, make(0)), Ok(Receipt::New { id: 3.into() }), "{place}");
            assert_eq!(store.ready(), Ok(()));
            assert_eq!(one(&setup, &store, 1), Err(Unavailable::Damaged));
            assert!(one(&setup, &store, 3).unwrap().is_some());
            assert_eq!(setup.keep(&store, make(1)), Ok(Receipt::Duplicate { of: 2.into() }));
        }
    }
}

#[test]
fn damage_at_start_names_the_remedy() {
    let setup = filled(10);
    flip(&setup, pages(&setup, "settings", "leaf")[0], 0, 8);
    let error = Store::open(&options(&setup.path())).unwrap_err();
    assert!(error.0.contains("creel verify"), "{error}");
}

#[test]
fn edited_time_is_not_reported_as_damage() {
    let setup = filled(3);
    for (id, at) in [(2, "2026-11-22 14:31:00"), (3, "yesterday")] {
        setup.query::<i64>(&format!("UPDATE messages SET received_at = '{at}' WHERE id = {id} RETURNING id"));
    }
    let store = setup.open();
    assert_eq!(list(&setup, &store, Direction::NewestFirst), [3, 2, 1]);
    let shown = |id| one(&setup, &store, id).unwrap().unwrap().head.received_at.to_string();
    assert_eq!((shown(2).as_str(), shown(3).as_str()), ("2026-11-22T14:31:00.000000Z", "yesterday"));
    assert!(!store.is_damaged());
}
