//! Reading a body: its exact bytes, whole or not at all, within a size, a time and the budget.

use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt as _;

use super::budget::{Permit, UsedUp};

/// Every body gets this long, and a second more for each `BYTES_PER_SECOND` of it.
const BASE_TIME: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: usize = 64 * 1024;
const LONGEST_TIME: Duration = Duration::from_secs(60);
/// Reserved for a chunked body before its length is known, and each time that it grows beyond.
const STEP_BYTES: usize = 64 * 1024;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    TooSlow,
    BudgetUsedUp,
    /// The client broke off, or sent what is not HTTP.
    Broken,
}

impl From<UsedUp> for BodyError {
    fn from(_: UsedUp) -> Self {
        Self::BudgetUsedUp
    }
}

/// What must be reserved before anything is read.
pub fn first_reservation(declared: Option<usize>) -> usize {
    declared.unwrap_or(STEP_BYTES)
}

/// `declared`: Content-Length, if there is one; it has been compared with the limit already.
///
/// # Errors
/// When the body is too large, too slow, over the budget, or broken off.
pub async fn read(
    payload: Payload,
    declared: Option<usize>,
    max_bytes: usize,
    permit: &mut Permit,
) -> Result<Bytes, BodyError> {
    let reading = read_to_end(payload, declared, max_bytes, permit);
    tokio::time::timeout(time_for(declared), reading).await.unwrap_or(Err(BodyError::TooSlow))
}

fn time_for(declared: Option<usize>) -> Duration {
    let Some(bytes) = declared else { return LONGEST_TIME / 2 };
    (BASE_TIME + Duration::from_secs((bytes / BYTES_PER_SECOND) as u64)).min(LONGEST_TIME)
}

async fn read_to_end(
    mut payload: Payload,
    declared: Option<usize>,
    max_bytes: usize,
    permit: &mut Permit,
) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(broken)?;
        length += chunk.len();
        if length > max_bytes {
            return Err(BodyError::TooLarge);
        }
        if declared.is_none() {
            permit.grow_to(length.next_multiple_of(STEP_BYTES))?;
        }
        // Most bodies come in one piece, which needs no copy.
        if first.is_empty() {
            first = chunk;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(declared.unwrap_or(length).max(length));
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&chunk);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn broken(error: PayloadError) -> BodyError {
    match error {
        PayloadError::Overflow => BodyError::TooLarge,
        _ => BodyError::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_body_gets_more_time_up_to_a_minute() {
        assert_eq!(time_for(Some(100)), Duration::from_secs(10));
        assert_eq!(time_for(Some(1 << 20)), Duration::from_secs(26));
        assert_eq!(time_for(Some(1 << 30)), Duration::from_secs(60));
        assert_eq!(time_for(None), Duration::from_secs(30));
    }
}
