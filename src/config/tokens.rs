//! The API tokens, which are the only variables that client commands need on a machine without a
//! complete configuration.

use std::collections::BTreeMap;

use super::error::Problems;
use super::values::Values;
use super::{parse, table};
use crate::providers::Secret;

const ADMIN: &str = "CREEL_ADMIN_TOKEN";
const READ: &str = "CREEL_READ_TOKEN";
const LISTENER: &str = "CREEL_LISTENER_TOKEN";

/// The tokens that are set.
#[derive(Debug)]
pub struct TokenSettings {
    pub admin: Option<Secret>,
    pub read: Option<Secret>,
    pub listener: Option<Secret>,
}

impl TokenSettings {
    /// Reads only the tokens from the environment of the process.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn from_env() -> Result<Self, Problems> {
        let names = [ADMIN, READ, LISTENER]
            .into_iter()
            .flat_map(|name| [name.to_owned(), format!("{name}{}", table::FILE_SUFFIX)]);
        let set = names.filter_map(|name| {
            let value = std::env::var_os(&name)?;
            // A value that is not UTF-8 becomes an invalid token.
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self::from_vars(&set.collect())
    }

    fn from_vars(vars: &BTreeMap<String, String>) -> Result<Self, Problems> {
        let mut values = Values::read(vars, false);
        let admin = values.optional(ADMIN, parse::token);
        let read = values.optional(READ, parse::token);
        let listener = values.optional(LISTENER, parse::token);
        if values.problems.is_empty() {
            Ok(Self { admin, read, listener })
        } else {
            Err(Problems(values.problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<TokenSettings, Problems> {
        TokenSettings::from_vars(
            &pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        )
    }

    #[test]
    fn tokens_come_from_variables_and_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "token-in-a-file-0123456789\n").unwrap();
        let path = file.path().to_str().unwrap();
        let tokens = read(&[(ADMIN, "token-as-it-is-0123456789"), ("CREEL_READ_TOKEN_FILE", path)]).unwrap();
        assert_eq!(tokens.admin.unwrap().expose(), b"token-as-it-is-0123456789");
        assert_eq!(tokens.read.unwrap().expose(), b"token-in-a-file-0123456789");
        assert!(read(&[]).unwrap().admin.is_none());
        let problems = read(&[(ADMIN, "short"), ("CREEL_READ_TOKEN_FILE", "/nowhere/at/all")]).unwrap_err();
        assert!(
            problems.to_string().contains(ADMIN) && problems.to_string().contains("CREEL_READ_TOKEN_FILE")
        );
    }
}
