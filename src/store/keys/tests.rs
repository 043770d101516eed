//! Keys within a transaction and across a merge.

use super::*;

fn keys() -> (Connection, KeyIndex) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
    let keys = KeyIndex::load(&connection).unwrap();
    (connection, keys)
}

#[test]
fn merge_requested_in_transaction_excludes_its_keys() {
    let (connection, mut keys) = keys();
    let (kept, undone) =
        (MessageKey::of_delivery_id("github", "kept"), MessageKey::of_delivery_id("github", "undone"));
    let digest = BodyDigest::of(&[1; 32]);
    keys.stage(kept, 1.into(), digest);
    keys.commit(1.into());
    keys.stage(undone, 2.into(), digest);
    keys.request_merge();
    keys.roll_back();
    keys.start_merge();
    assert!(keys.is_merging());
    keys.write_slice(&connection, Timestamp::MIN).unwrap();
    keys.merge_committed();
    assert_eq!(keys.find(&connection, undone, digest).unwrap(), KeyMatch::Nothing);
    assert_eq!(keys.find(&connection, kept, digest).unwrap(), KeyMatch::Same(1.into()));
}
