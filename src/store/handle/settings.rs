//! Settings that the service itself stores in the database.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::store::error::Unavailable;
use crate::store::handle::core::Core;
use crate::store::setting::{self, Sealing};
use crate::store::timestamp::Timestamp;

/// Settings that the service itself stores in the database.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    pub(super) core: Arc<Core>,
}

impl ServiceSettings {
    /// Returns a stored setting; a sealed one is unsealed.
    ///
    /// # Errors
    /// If it cannot be read, or was sealed under another key.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, Unavailable> {
        let wanted = name.to_owned();
        let stored = self.core.read(move |connection| setting::read(connection, &wanted)).await?;
        let Some((value, sealing)) = stored else { return Ok(None) };
        match sealing {
            Sealing::Plain => Ok(Some(value)),
            Sealing::Sealed => {
                let plain = self.core.sealer.open(name, &value).map_err(|_| Unavailable::Refused)?;
                String::from_utf8(plain).map(Some).map_err(|_| Unavailable::Refused)
            }
        }
    }

    /// Stores a setting.
    ///
    /// # Errors
    /// If it could not be written.
    pub async fn set_setting(
        &self,
        name: &str,
        value: &str,
        sealing: Sealing,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let stored = match sealing {
            Sealing::Plain => value.to_owned(),
            Sealing::Sealed => self.core.sealer.seal(name, value.as_bytes()),
        };
        let (name, now) = (name.to_owned(), Timestamp::from(now));
        self.core
            .write(move |database| setting::write(database.connection, &name, &stored, sealing, now))
            .await
    }
}
