//! Resolves places whose header name comes from a setting, and collects setting errors.

use crate::content::view::Texts;
use crate::scheme::place::{Place, is_header_name};

use super::super::recipe::NamedPlace;
use super::super::settings::SettingError;

/// Records an error once, even if two schemes share the setting.
pub fn once<T>(bound: Result<T, SettingError>, errors: &mut Vec<SettingError>) -> Option<T> {
    match bound {
        Ok(bound) => Some(bound),
        Err(error) => {
            if !errors.contains(&error) {
                errors.push(error);
            }
            None
        }
    }
}

pub fn bind_place(place: &NamedPlace, texts: &Texts) -> Result<Place, SettingError> {
    match place {
        NamedPlace::Place(place) => Ok(place.clone()),
        NamedPlace::HeaderOf { setting } => named_header(setting, texts).map(Place::Header),
    }
}

pub fn named_header(setting: &str, texts: &Texts) -> Result<String, SettingError> {
    let header = texts.first(setting).and_then(|header| std::str::from_utf8(header).ok());
    let Some(header) = header else {
        return Err(SettingError::new(setting, "is missing: the name of the header with the token"));
    };
    if !is_header_name(header) {
        return Err(SettingError::new(setting, "is not a valid header name such as `Acme-Webhook-Token`"));
    }
    if COMMON_HEADERS.iter().any(|name| header.eq_ignore_ascii_case(name)) {
        return Err(SettingError::new(
            setting,
            "is a header that every client or proxy adds, so it cannot authenticate the sender",
        ));
    }
    Ok(header.to_ascii_lowercase())
}

/// Headers that ordinary clients and proxies add.
const COMMON_HEADERS: [&str; 9] = [
    "Host",
    "Content-Length",
    "Content-Type",
    "Connection",
    "Transfer-Encoding",
    "User-Agent",
    "Accept",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
];
