//! Parses the table of a request for a key or a login.

use crate::json::lookup::JsonPath;

use super::super::fetch::FetchRule;
use super::fields::{FieldProblem, problem, template};
use super::tables::{FetchTable, KeyTable};

pub fn fetch_rule(table: &FetchTable, keys: &[KeyTable]) -> Result<FetchRule, FieldProblem> {
    let parse = |field: &str, text: &str| template(field, text, keys);
    if !table.url.starts_with("https://") && !table.url.starts_with("{setting:") {
        return Err(problem("fetch.url", "must begin with https://, or be a setting"));
    }
    Ok(FetchRule {
        method: table.method.clone(),
        url: parse("fetch.url", &table.url)?,
        body: table.body.as_ref().map(|body| parse("fetch.body", body)).transpose()?,
        headers: table
            .headers
            .iter()
            .map(|(name, value)| Ok((name.clone(), parse("fetch.headers", value)?)))
            .collect::<Result<_, _>>()?,
        take: table
            .take
            .as_ref()
            .map(|path| JsonPath::parse(path).map_err(|error| problem("fetch.take", error)))
            .transpose()?,
        expires: table
            .expires
            .as_ref()
            .map(|path| JsonPath::parse(path).map_err(|error| problem("fetch.expires", error)))
            .transpose()?,
        login: table.login.as_ref().map(|login| fetch_rule(login, keys).map(Box::new)).transpose()?,
    })
}
