//! Reports acknowledged messages that a start would lose, and accepts the loss.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::store::continuity::ledger::Ledger;
use crate::store::continuity::mark::Mark;
use crate::store::continuity::sound;
use crate::store::error::OpenError;
use crate::store::files::paths::{self, wal_of};
use crate::store::schema;

/// The cause of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossFinding {
    /// The WAL belongs to another database file.
    ForeignWal,
    /// The database has fewer commits than the mark.
    Older { found: Option<Ledger> },
    /// The database's history differs from the mark's.
    OtherHistory,
    /// The database file is missing or empty.
    NoDatabase,
}

/// Acknowledged messages that a start would lose. `Display` writes the cause and the remedies in
/// four lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Loss {
    pub path: PathBuf,
    pub finding: LossFinding,
    pub mark: Option<Mark>,
}

impl Loss {
    /// Accepts the loss and keeps the remaining data. A foreign WAL is moved aside, unless the file
    /// is damaged without it.
    pub fn accept(&self) -> Result<(), OpenError> {
        let path = self.path.display();
        let moves_wal = self.moves_wal();
        // A file with a partial checkpoint is damaged without its WAL, so the file is checked
        // before its WAL is moved. With a rollback journal it is checked afterwards, because SQLite
        // applies the journal only without a WAL.
        let is_checked_first = moves_wal && !paths::has_journal(&self.path);
        if is_checked_first {
            sound::check_without_wal(&self.path)?;
        }
        if moves_wal {
            let aside = free_sibling_path(&wal_of(&self.path));
            std::fs::rename(wal_of(&self.path), &aside).map_err(|error| {
                OpenError(format!("cannot move {} aside: {error}", wal_of(&self.path).display()))
            })?;
            log::warn!("--accept-loss: moved the WAL that does not belong to {path} to {}", aside.display());
        }
        match self.mark {
            Some(mark) => log::warn!(
                "--accept-loss: continuing with {path} as it is; the last run had stored messages up to {}",
                mark.ledger.messages
            ),
            None => log::warn!("--accept-loss: continuing with {path} as it is"),
        }
        if is_checked_first { Ok(()) } else { schema::check_sound(&self.path) }
    }

    fn moves_wal(&self) -> bool {
        matches!(self.finding, LossFinding::ForeignWal | LossFinding::NoDatabase)
            && wal_of(&self.path).exists()
    }

    fn found(&self) -> String {
        let (path, wal) = (self.path.display(), wal_of(&self.path));
        let wal = wal.display();
        match (self.finding, self.mark) {
            (LossFinding::ForeignWal, _) => {
                format!("{wal} does not belong to {path}: it was written for another state of the database")
            }
            (LossFinding::Older { found: None }, Some(mark)) => format!(
                "{path} is older than the last state stored here: the last run ended at message {} (commit {})",
                mark.ledger.messages, mark.ledger.commits
            ),
            (LossFinding::Older { found: Some(found) }, Some(mark)) => {
                format!(
                    "{path} is older than the last state stored here: it ends at message {} (commit {}), \
                     the last run at message {} (commit {})",
                    found.messages, found.commits, mark.ledger.messages, mark.ledger.commits
                )
            }
            (LossFinding::NoDatabase, Some(mark)) => {
                format!(
                    "{path} is missing or empty, but the last run stored messages up to {}",
                    mark.ledger.messages
                )
            }
            (LossFinding::NoDatabase, None) => {
                format!("{path} is missing or empty, but its WAL {wal} has commits")
            }
            (LossFinding::OtherHistory | LossFinding::Older { .. }, _) => {
                format!("{path} is not the database of the last run here, but another one")
            }
        }
    }

    fn meaning(&self) -> &'static str {
        match self.finding {
            LossFinding::ForeignWal => {
                "The database was probably overwritten with a copy after a crash. Opened together, the two would be mixed or damaged."
            }
            LossFinding::Older { .. } => {
                "It was replaced by an older copy, or its WAL was deleted after a crash. \
                 Acknowledged messages would be lost."
            }
            LossFinding::OtherHistory => "The messages last stored here are not in it.",
            LossFinding::NoDatabase => {
                "The database file was deleted or emptied. Acknowledged messages would be lost."
            }
        }
    }

    fn newest(&self) -> String {
        let (database, wal) = (self.path.display(), wal_of(&self.path));
        let moved = last_sibling_path(&wal).map_or_else(String::new, |aside| {
            format!(". An earlier --accept-loss has moved a WAL to {}", aside.display())
        });
        format!(
            "For the newest state: restore both {database} and {} as they were when creel stopped, and start \
             again{moved}.",
            wal.display()
        )
    }

    fn accepting(&self) -> String {
        let extra = match self.finding {
            LossFinding::ForeignWal => {
                format!(", which moves the WAL to {}", free_sibling_path(&wal_of(&self.path)).display())
            }
            LossFinding::NoDatabase if self.moves_wal() => {
                format!(
                    " with an empty database, which moves the WAL to {}",
                    free_sibling_path(&wal_of(&self.path)).display()
                )
            }
            LossFinding::NoDatabase => " with an empty database".to_owned(),
            LossFinding::Older { .. } | LossFinding::OtherHistory => String::new(),
        };
        format!("To start without the lost messages: creel serve --accept-loss{extra}")
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}\n  {}\n  {}", self.found(), self.meaning(), self.newest(), self.accepting())
    }
}

/// Returns `creel.db-wal.aside-1`, or the name with the first free number.
fn free_sibling_path(path: &Path) -> PathBuf {
    (1..).map(|number| numbered_sibling_path(path, number)).find(|name| !name.exists()).unwrap_or_default()
}

/// Returns the name with the number before the first free one; `None` if number 1 is free.
fn last_sibling_path(path: &Path) -> Option<PathBuf> {
    (1..).map(|number| numbered_sibling_path(path, number)).take_while(|name| name.exists()).last()
}

fn numbered_sibling_path(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".aside-{number}"));
    PathBuf::from(name)
}
