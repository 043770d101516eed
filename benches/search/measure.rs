//! The measurements of one server or one database.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Row};
use serde_json::Value;

use crate::Outcome;
use crate::queries::QueryClass;
use crate::report::number;
use crate::server::{Client, Server, database};

const LIKE_QUERIES: usize = 10;

/// Times of the queries of one class.
#[derive(Debug)]
pub struct ClassTimes {
    /// In milliseconds, sorted.
    milliseconds: Vec<f64>,
    /// Number of pages without `complete: false`.
    complete: usize,
}

impl ClassTimes {
    pub fn p50(&self) -> f64 {
        quantile(&self.milliseconds, 0.5)
    }

    /// Returns the cells of p50, p99, maximum and the share of complete pages.
    pub fn cells(&self) -> String {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| number(quantile(&self.milliseconds, share)));
        let complete = 100.0 * self.complete as f64 / self.milliseconds.len() as f64;
        format!("{p50} | {p99} | {max} | {complete:.0} %")
    }
}

/// Sends the first `limit` queries of a class on a new connection.
pub fn times_of_class(server: &Server, class: &QueryClass, limit: usize) -> Outcome<ClassTimes> {
    let mut client = server.connect()?;
    client.get("/api/v1/search/status")?;
    let (mut milliseconds, mut complete) = (Vec::new(), 0);
    for query in class.queries.iter().take(limit) {
        let path = page_before(&mut client, query, class.pages_before)?;
        let (page, took) = client.get(&path)?;
        milliseconds.push(took.as_secs_f64() * 1e3);
        complete += usize::from(page["complete"] == true);
    }
    milliseconds.sort_by(f64::total_cmp);
    Ok(ClassTimes { milliseconds, complete })
}

/// Reads `pages` pages, or fewer if the last one comes first. Returns the path of the next page.
fn page_before(client: &mut Client, query: &str, pages: usize) -> Outcome<String> {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let first = format!("/api/v1/messages?q={query}");
    let mut path = first.clone();
    for _ in 0..pages {
        let (page, _) = client.get(&path)?;
        let Value::Number(cursor) = &page["next_cursor"] else { break };
        path = format!("{first}&cursor={cursor}");
    }
    Ok(path)
}

/// Returns the median time of `LIKE` over the payloads for the first queries of a class, in
/// milliseconds.
pub fn median_like(directory: &Path, class: &QueryClass) -> Outcome<f64> {
    let connection = read_only(directory)?;
    let mut statement = connection
        .prepare("SELECT id FROM messages WHERE payload LIKE '%' || ?1 || '%' ORDER BY id DESC LIMIT 50")?;
    let mut milliseconds = Vec::new();
    for query in class.queries.iter().take(LIKE_QUERIES) {
        let begin = Instant::now();
        let ids = statement.query_map([query], |row: &Row<'_>| row.get(0))?;
        let _ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
        milliseconds.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    milliseconds.sort_by(f64::total_cmp);
    Ok(quantile(&milliseconds, 0.5))
}

/// Returns the bytes of the indexed texts of all messages.
pub fn text_bytes(directory: &Path) -> Outcome<u64> {
    let sql = "SELECT sum(coalesce(octet_length(payload), 0) + octet_length(headers)
                 + coalesce(octet_length(query), 0) + coalesce(octet_length(delivery_id), 0)) FROM messages";
    Ok(read_only(directory)?.query_row(sql, [], |row| row.get(0))?)
}

fn read_only(directory: &Path) -> Outcome<Connection> {
    let connection = Connection::open_with_flags(database(directory), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Returns the smallest value that is not below a share of the sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
