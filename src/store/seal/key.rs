//! Selects the key of a database, and handles a missing key.

use std::path::Path;

use rusqlite::Connection;
use time::OffsetDateTime;

use crate::store::error::OpenError;
use crate::store::files::paths::sibling_path;
use crate::store::options::StoreOptions;
use crate::store::seal::forget;
use crate::store::seal::sealer::{self, Sealer};
use crate::store::setting::{self, KEY_CHECK, Sealing};
use crate::store::timestamp::Timestamp;
use crate::store::{damage, schema};

/// The key for a database that is about to be opened.
pub struct DatabaseKey {
    /// `None` if a key file must be created first.
    sealer: Option<Sealer>,
    /// Whether the key opens no value in the database, so that all are discarded.
    forgets: bool,
}

impl DatabaseKey {
    /// Finds the key, without writing anything. `key_check`: the value in the database that only
    /// the right key opens.
    pub fn find(
        options: &StoreOptions,
        database: &Path,
        key_check: Option<String>,
        forgets: bool,
    ) -> Result<Self, OpenError> {
        let secret = secret(options, database)?;
        let (Some(secret), Some(key_check)) = (&secret, &key_check) else {
            if key_check.is_some() && !forgets {
                return Err(missing(database));
            }
            let sealer = secret.map(|secret| Sealer::for_new_database(&secret));
            return Ok(Self { sealer, forgets: key_check.is_some() });
        };
        match Sealer::for_database(secret, key_check) {
            Ok(sealer) => {
                if forgets {
                    log::warn!("--forget-sealed: the key is correct, nothing is discarded");
                }
                Ok(Self { sealer: Some(sealer), forgets: false })
            }
            Err(_) if forgets => Ok(Self { sealer: Some(Sealer::for_new_database(secret)), forgets }),
            Err(_) => Err(wrong(options, database)),
        }
    }

    /// Creates the key file if needed, and discards values that the key does not open.
    pub fn apply(self, connection: &mut Connection, database: &Path) -> Result<Sealer, OpenError> {
        let sealer = match self.sealer {
            Some(sealer) => sealer,
            None => Sealer::for_new_database(&sealer::make_key_file(&sibling_path(database, "key"))?),
        };
        let now = Timestamp::from(OffsetDateTime::now_utc());
        let problem =
            |error| OpenError(format!("cannot write the settings: {error}{}", damage::advice(&error)));
        if self.forgets {
            let forgotten = forget::forget(connection, &sealer, now).map_err(problem)?;
            log::warn!("--forget-sealed: {forgotten}");
        } else if setting::read(connection, KEY_CHECK).map_err(problem)?.is_none() {
            let sealed = sealer.seal(KEY_CHECK, b"creel");
            setting::write(connection, KEY_CHECK, &sealed, Sealing::Sealed, now).map_err(problem)?;
        }
        Ok(sealer)
    }
}

/// Returns the reason why the next start would not find the right key; `None` if it would, or if
/// the database cannot be read. Writes nothing.
pub fn key_problem(options: &StoreOptions) -> Option<String> {
    let database = &options.path;
    let key_check = schema::check_before_opening(database).ok()?;
    DatabaseKey::find(options, database, key_check, false).err().map(|OpenError(why)| why)
}

/// Returns the key of a database that the service has opened before.
pub fn sealer_of(
    options: &StoreOptions,
    database: &Path,
    connection: &Connection,
) -> Result<Sealer, OpenError> {
    let key_check = setting::read(connection, KEY_CHECK)
        .map_err(|error| OpenError(format!("cannot read the settings: {error}{}", damage::advice(&error))))?;
    let secret = secret(options, database)?.ok_or_else(|| missing(database))?;
    match key_check {
        Some((key_check, _)) => {
            Sealer::for_database(&secret, &key_check).map_err(|_| wrong(options, database))
        }
        None => Ok(Sealer::for_new_database(&secret)),
    }
}

/// Returns `CREEL_KEY`, or the content of the key file.
fn secret(options: &StoreOptions, database: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    match &options.key {
        Some(key) => Ok(Some(key.clone())),
        None => sealer::read_key_file(&sibling_path(database, "key")),
    }
}

fn missing(database: &Path) -> OpenError {
    OpenError(format!(
        "the key file {} is missing, and the database was sealed under a key: restore the file, or set CREEL_KEY to that \
         key. If the key is permanently lost: creel serve --forget-sealed",
        sibling_path(database, "key").display()
    ))
}

fn wrong(options: &StoreOptions, database: &Path) -> OpenError {
    let (used, remedy) = match options.key {
        Some(_) => (
            "CREEL_KEY",
            "set CREEL_KEY to the key that was used before, or remove it if a key file was used",
        ),
        None => ("the key file", "restore the key file that was used before, or set CREEL_KEY to that key"),
    };
    OpenError(format!(
        "the database {} was sealed under a key other than {used}: {remedy}. If that key is permanently lost: creel serve \
         --forget-sealed",
        database.display()
    ))
}
