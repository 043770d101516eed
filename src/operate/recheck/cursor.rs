//! Cursors of bulk operations on rejections. They are authenticated, so a client cannot forge them.

use std::sync::OnceLock;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::hmac;

use super::super::problem::Problem;
use crate::store::{RejectionPosition, random};

/// Encodes a position with its authentication tag. `walk` names the bulk operation: its action,
/// filter and last rejection. A cursor is accepted only for the same `walk`, so that a client
/// cannot skip the count and its confirmation.
///
/// # Errors
/// If the system returns no random numbers.
pub fn cursor_of(position: &RejectionPosition, walk: &str) -> Result<String, Problem> {
    let at = BASE64_URL_SAFE_NO_PAD.encode(position.received_at.as_bytes());
    let text = format!("{at},{}", position.id);
    let tag = hmac::sign(key()?, format!("{walk} {text}").as_bytes());
    Ok(format!("{text},{}", BASE64_URL_SAFE_NO_PAD.encode(tag)))
}

/// Decodes a cursor for the same `walk`.
///
/// # Errors
/// If the cursor was not issued for this `walk` since the service started.
pub fn position_of(cursor: &str, walk: &str) -> Result<RejectionPosition, Problem> {
    let foreign = || {
        Problem::invalid(
            "cursor",
            "is not the `next_cursor` of a step with this `filter` and `through` since the service started; without a cursor, \
             the rejections are counted again",
        )
    };
    let (text, tag) = cursor.rsplit_once(',').ok_or_else(foreign)?;
    let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).map_err(|_| foreign())?;
    hmac::verify(key()?, format!("{walk} {text}").as_bytes(), &tag).map_err(|_| foreign())?;
    let (at, id) = text.split_once(',').ok_or_else(foreign)?;
    Ok(RejectionPosition {
        received_at: BASE64_URL_SAFE_NO_PAD.decode(at).map_err(|_| foreign())?.into(),
        id: id.parse().map_err(|_| foreign())?,
    })
}

/// Returns the key, which is generated at first use: a restart invalidates all cursors.
fn key() -> Result<&'static hmac::Key, Problem> {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &random::array::<32>()?);
    Ok(KEY.get_or_init(|| key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_accepted_for_its_own_walk_only() {
        // The last text is not valid UTF-8.
        for at in [b"2026-11-22T14:31:00.000000Z".as_slice(), b"yesterday, perhaps", b"", b"2026\xff"] {
            let position = RejectionPosition { received_at: at.to_vec().into(), id: 7.into() };
            let cursor = cursor_of(&position, "recheck all 9").unwrap();
            let read = position_of(&cursor, "recheck all 9").unwrap();
            assert_eq!(read, position);
            assert!(position_of(&cursor, "release all 9").is_err());
            assert!(position_of(&cursor.replacen(",7,", ",8,", 1), "recheck all 9").is_err());
        }
        assert!(position_of("", "recheck all 9").is_err());
    }
}
