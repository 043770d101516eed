//! The schema and its versions: recognizes creel's files, and migrates older ones.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::store::damage;
use crate::store::error::OpenError;
use crate::store::files::paths::has_journal;
use crate::store::setting::{self, KEY_CHECK};

/// Marks the file as creel's ("CREL" in ASCII), for the command `file` and for the check at start.
pub const APPLICATION_ID: i32 = 0x4352_454c;

/// One step for each version of the schema. A step that was published is never changed.
/// `schema.sql` is the combined result of all steps.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
];

/// Creates the schema in a new file, or migrates an older one, in one transaction.
pub fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let problem =
        |error| OpenError(format!("cannot read or migrate the database: {error}{}", damage::advice(&error)));
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(problem)?;
    let version = check_ours(&transaction)?;
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        transaction.execute_batch(migration).map_err(problem)?;
        transaction.pragma_update(None, "user_version", number + 1).map_err(problem)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(problem)?;
    transaction.commit().map_err(problem)
}

/// Checks an existing file without changing it (but see `read_only`), so that foreign files stay
/// intact. Returns the sealed value that verifies the key, if there is one.
pub fn check_before_opening(path: &Path) -> Result<Option<String>, OpenError> {
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(None);
    }
    let connection = read_only(path)?;
    let version =
        check_ours(&connection).map_err(|OpenError(why)| OpenError(format!("{}: {why}", path.display())))?;
    if version == 0 {
        return Ok(None);
    }
    let key_check = setting::read(&connection, KEY_CHECK)
        .map_err(|error| OpenError(format!("{}: {error}{}", path.display(), damage::advice(&error))))?;
    Ok(key_check.map(|(sealed, _)| sealed))
}

/// Checks the structure of the whole file, which can be damaged if its WAL was deleted.
pub fn check_sound(path: &Path) -> Result<(), OpenError> {
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    find_damage(Ok(read_only(path)?)).map_or(Ok(()), |why| Err(damaged(path, &why)))
}

/// Checks the structure of a whole file. Returns SQLite's first finding, or the error that
/// prevented the check, in one line; `None` if the file is sound.
pub fn find_damage(connection: rusqlite::Result<Connection>) -> Option<String> {
    match connection.and_then(|connection| quick_check(&connection)) {
        Ok(found) if found == "ok" => None,
        Ok(found) => Some(found.lines().last().unwrap_or_default().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

pub fn quick_check(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
}

pub fn damaged(path: &Path, why: &str) -> OpenError {
    OpenError(format!(
        "the database {} is damaged and cannot be used: {why}. Restore a backup, or save the readable data with \
         `sqlite3 {} .recover`",
        path.display(),
        path.display()
    ))
}

/// Opens the file without changing it, unless a killed process has left a rollback journal, which
/// SQLite must apply before any read.
pub fn read_only(path: &Path) -> Result<Connection, OpenError> {
    let access = match has_journal(path) {
        true => OpenFlags::SQLITE_OPEN_READ_WRITE,
        false => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| OpenError(format!("cannot open the database {}: {error}", path.display())))
}

pub fn apply_journal(path: &Path) -> Result<(), OpenError> {
    let applied = read_only(path)?.pragma_query_value(None, "schema_version", |_| Ok(()));
    applied.map_err(|error| OpenError(format!("cannot read the database {}: {error}", path.display())))
}

/// Returns the number of migrations applied to the file.
pub fn check_ours(connection: &Connection) -> Result<usize, OpenError> {
    check_ours_with(connection, damage::advice)
}

/// Returns the number of migrations, or an error with the given advice for damage.
pub fn check_ours_with(
    connection: &Connection,
    advice: fn(&rusqlite::Error) -> String,
) -> Result<usize, OpenError> {
    let problem = |error| OpenError(format!("cannot read the database: {error}{}", advice(&error)));
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(problem)?;
    let version: usize =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(problem)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(problem)?;
    if id != APPLICATION_ID && (id != 0 || version != 0 || tables != 0) {
        return Err(OpenError(
            "the file is a SQLite database, but not creel's: set CREEL_DATABASE to another path".to_owned(),
        ));
    }
    if version > MIGRATIONS.len() {
        return Err(OpenError(format!(
            "the database was written by a newer creel (its schema has version {version}, this creel supports up to {}): \
             run the newer creel, or restore a backup made before the upgrade",
            MIGRATIONS.len()
        )));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(connection: &Connection) -> Vec<(String, String)> {
        let mut statement = connection
            .prepare("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn schema_sql_matches_migrations() {
        let whole = Connection::open_in_memory().unwrap();
        whole.execute_batch(include_str!("../../schema.sql")).unwrap();
        let mut migrated = Connection::open_in_memory().unwrap();
        migrate(&mut migrated).unwrap();
        assert_eq!(schema_of(&migrated), schema_of(&whole));
        assert!(schema_of(&whole).len() > 5);
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(check_ours(&connection).unwrap(), MIGRATIONS.len());
    }

    #[test]
    fn rejections_of_an_older_version_keep_their_ids() {
        let mut connection = Connection::open_in_memory().unwrap();
        for migration in &MIGRATIONS[..2] {
            connection.execute_batch(migration).unwrap();
        }
        connection.pragma_update(None, "user_version", 2).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        let insert = "INSERT INTO rejections (id, received_at, source, cause, remote_ip, network, method, headers, body)
            VALUES (7, '2026', 'a', 'signature_mismatch', '::1', '::/64', 'POST', '{}', x'00'),
              (9, '2026', 'a', 'missing_header', '::1', '::/64', 'POST', '{}', x'00'),
              (20, '2026', 'a', 'token_mismatch', '::1', '::/64', 'POST', '{}', NULL);
            DELETE FROM rejections WHERE id = 20;
            INSERT INTO rejection_counts VALUES ('a', 'missing_header', 5, '2026', '2026')";
        connection.execute_batch(insert).unwrap();
        migrate(&mut connection).unwrap();
        let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        let rows = "SELECT group_concat(id || ' ' || candidate || ' ' || bytes, ', ') FROM rejections";
        assert_eq!(text(rows), "7 1 2048, 9 0 2048");
        assert_eq!(text("SELECT counted || ' ' || candidates FROM rejection_counts"), "5 0");
        assert_eq!(text("SELECT CAST(seq AS TEXT) FROM sqlite_sequence WHERE name = 'rejections'"), "20");
    }

    #[test]
    fn foreign_file_is_rejected() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        assert!(migrate(&mut connection).unwrap_err().0.contains("not creel's"));
    }

    #[test]
    fn file_of_newer_creel_is_rejected() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", MIGRATIONS.len() + 1).unwrap();
        assert!(migrate(&mut connection).unwrap_err().0.contains("newer creel"));
    }

    #[test]
    fn every_column_has_a_comment() {
        for table in include_str!("../../schema.sql").split("CREATE TABLE ").skip(1) {
            let name = table.split_whitespace().next().unwrap();
            let columns =
                table.split("STRICT").next().unwrap().lines().skip(1).filter(|line| line.starts_with("  "));
            let bare: Vec<_> =
                columns.filter(|line| !line.contains("--") && !line.contains("PRIMARY KEY (")).collect();
            assert!(bare.is_empty(), "{name}: {bare:?}");
        }
    }
}
