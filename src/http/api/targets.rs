//! Targets.

use super::error::ApiError;
use crate::config;
use crate::http::service::Service;

/// A target by its id or its name.
///
/// # Errors
/// When there is none.
pub async fn id_of(service: &Service, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let by_id = match text.parse() {
        Ok(id) => service.store.target(id).await?,
        Err(_) => None,
    };
    let found = match by_id {
        Some(target) => Some(target),
        None => service.store.target_named(text).await?,
    };
    let unknown = || ApiError::NotFound(format!("There is no target {}.", config::shown(text)));
    found.map(|target| Some(target.id)).ok_or_else(unknown)
}
