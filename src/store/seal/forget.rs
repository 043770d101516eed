//! `creel serve --forget-sealed`: discards all values sealed under a permanently lost key.

use std::fmt;

use rusqlite::{Connection, params};

use crate::store::seal::sealer::Sealer;
use crate::store::setting::{self, KEY_CHECK, Sealing};
use crate::store::timestamp::Timestamp;

/// Reason shown for a disabled target.
const TARGET_REASON: &str =
    "its secrets were sealed under a lost key: create a new secret, set its headers again, then resume it";
const CONFIRMATION_REASON: &str = "its confirmation request was sealed under a lost key";

/// Summary of the discarded values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ForgottenSecrets {
    /// Names of targets created through the API.
    targets: Vec<String>,
    /// Sources that must learn their secret again.
    learned: Vec<String>,
    inbox: bool,
    rejections: usize,
    confirmations: usize,
}

impl fmt::Display for ForgottenSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.targets.is_empty() {
            parts.push(format!(
                "secrets and headers of targets, which are disabled (create new secrets, then resume them): {}",
                self.targets.join(" ")
            ));
        }
        if !self.learned.is_empty() {
            parts.push(format!("learned secrets of sources (`creel learn`): {}", self.learned.join(" ")));
        }
        if self.inbox {
            parts.push("the URL of the inbox, which changes".to_owned());
        }
        if self.rejections > 0 {
            parts.push(format!("credentials of {} rejected requests in quarantine", self.rejections));
        }
        if self.confirmations > 0 {
            parts.push(format!(
                "confirmation requests of {} awaiting messages, which therefore fail confirmation",
                self.confirmations
            ));
        }
        if parts.is_empty() {
            return write!(f, "nothing was sealed under the lost key");
        }
        write!(f, "dropped values sealed under the lost key: {}", parts.join("; "))
    }
}

/// Discards all sealed values and stores the check value of the new key, in one transaction.
pub fn forget(
    connection: &mut Connection,
    sealer: &Sealer,
    now: Timestamp,
) -> rusqlite::Result<ForgottenSecrets> {
    const LEARNED: &str = "learned_secret:";
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut forgotten = ForgottenSecrets::default();
    for name in texts(&transaction, "DELETE FROM settings WHERE sealed = 1 RETURNING name", &[])? {
        match name.strip_prefix(LEARNED) {
            Some(source) => forgotten.learned.push(source.to_owned()),
            None => forgotten.inbox |= name == "inbox_path",
        }
    }
    forgotten.targets = texts(
        &transaction,
        "UPDATE targets SET sealed_secrets = NULL, state_reason = ?1,
           state_since = CASE state WHEN 'disabled' THEN state_since ELSE ?2 END, state = 'disabled'
         WHERE sealed_secrets IS NOT NULL AND state <> 'removed' RETURNING name",
        &[&TARGET_REASON, &now],
    )?;
    transaction.execute("UPDATE targets SET sealed_secrets = NULL WHERE sealed_secrets IS NOT NULL", [])?;
    forgotten.rejections = transaction.execute(
        "UPDATE rejections SET sealed_credentials = NULL WHERE sealed_credentials IS NOT NULL",
        [],
    )?;
    transaction.execute(
        "UPDATE messages SET confirmation = 'refused'
         WHERE id IN (SELECT message_id FROM confirmations WHERE state = 'awaiting')",
        [],
    )?;
    forgotten.confirmations = transaction.execute(
        "UPDATE confirmations SET state = 'refused', settled_at = ?1, reason = ?2, sealed_request = NULL
         WHERE state = 'awaiting'",
        params![now, CONFIRMATION_REASON],
    )?;
    transaction
        .execute("UPDATE confirmations SET sealed_request = NULL WHERE sealed_request IS NOT NULL", [])?;
    setting::write(&transaction, KEY_CHECK, &sealer.seal(KEY_CHECK, b"creel"), Sealing::Sealed, now)?;
    transaction.commit()?;
    Ok(forgotten)
}

fn texts(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(parameters, |row| row.get(0))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use crate::store::open::Consent;
    use crate::store::setting::Sealing;
    use crate::store::target::settings::TargetState;
    use crate::store::tests::setup::{Setup, options, with_id};
    use crate::store::{Store, StoreOptions};

    const FORGET: Consent = Consent { loss: false, forget_sealed: true };

    #[test]
    fn forget_drops_all_sealed_values() {
        let setup = Setup::new();
        let store = setup.open();
        setup.keep(&store, with_id("awaiting", "{}")).unwrap();
        let now = time::OffsetDateTime::now_utc();
        for (name, sealing) in [
            ("learned_secret:asana", Sealing::Sealed),
            ("inbox_path", Sealing::Sealed),
            ("plain", Sealing::Plain),
        ] {
            setup.runtime.block_on(store.settings().set_setting(name, "value", sealing, now)).unwrap();
        }
        setup.close(store);
        rusqlite::Connection::open(setup.path())
            .unwrap()
            .execute_batch(
                "INSERT INTO targets (name, kind, origin, state, state_since, events, url, sealed_secrets, concurrency,
                   ordering, timeout_seconds, created_at, updated_at)
                 VALUES ('app', 'http', 'api', 'active', '', '[\"*\"]', 'https://app.example', 'sealed', 4, 'any', 30, '', ''),
                   ('gone', 'http', 'api', 'removed', '', '[]', 'https://gone.example', 'sealed', 4, 'any', 30, '', '');
                 INSERT INTO rejections (received_at, source, cause, candidate, remote_ip, network, bytes, method, headers,
                   sealed_credentials)
                 VALUES ('2026-11-22T14:31:00.000000Z', 'github', 'signature_mismatch', 1, '', '', 2048, 'POST', '{}', x'00');
                 UPDATE messages SET confirmation = 'awaiting';
                 INSERT INTO confirmations (message_id, source, state, due_at, sealed_request)
                 VALUES (1, 'github', 'awaiting', '', 'sealed')",
            )
            .unwrap();
        std::fs::remove_file(setup.directory.path().join("creel.db.key")).unwrap();
        assert!(Store::open(&options(&setup.path())).unwrap_err().0.contains("--forget-sealed"));

        let other =
            StoreOptions { key: Some(b"the new key, and a long one".to_vec()), ..options(&setup.path()) };
        let store = Store::open_with(&other, FORGET).unwrap();
        setup.runtime.block_on(async {
            assert_eq!(store.settings().setting("learned_secret:asana").await, Ok(None));
            assert_eq!(store.settings().setting("plain").await, Ok(Some("value".to_owned())));
            let targets = store.reads().targets_with_secrets().await.unwrap();
            assert_eq!(targets.len(), 1);
            assert_eq!(targets[0].0.state, TargetState::Disabled);
            assert!(targets[0].1.is_some(), "readable, without secrets");
            assert_eq!(store.reads().rejection(1.into()).await.unwrap().unwrap().credentials, None);
            assert!(store.delivery_queue().sources_awaiting_confirmation().await.unwrap().is_empty());
        });
        setup.close(store);
        let sealed: i64 = setup.query(
            "SELECT (SELECT count(*) FROM targets WHERE sealed_secrets IS NOT NULL)
               + (SELECT count(*) FROM rejections WHERE sealed_credentials IS NOT NULL)
               + (SELECT count(*) FROM confirmations WHERE sealed_request IS NOT NULL OR state <> 'refused')
               + (SELECT count(*) FROM messages WHERE confirmation <> 'refused')",
        );
        assert_eq!(sealed, 0);
        setup.close(Store::open(&other).unwrap());
    }
}
