//! Vectors of providers that confirm messages through an API. A loopback API returns each vector's
//! answers; the tests check that messages are confirmed and delivered, or rejected and never
//! delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::vector::Vector;

/// Settings that hold an API address, with their defaults.
const ADDRESSES: [(&str, &str, &str); 3] = [
    ("snipcart", "validate_url", "https://app.snipcart.com/api/requestvalidation/"),
    ("mollie-classic", "validate_url", "https://api.mollie.com/v2/payments/"),
    ("paypal-postback", "api_url", "https://api-m.paypal.com"),
];

const TIMEOUT: Duration = Duration::from_secs(60);

type Answers = BTreeMap<String, (u16, String)>;

/// A server that replaces the APIs of all providers, with a separate path for each source.
pub struct Api {
    address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
}

impl Api {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let known = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = Arc::clone(&known);
                std::thread::spawn(move || serve(&stream, &known));
            }
        });
        Self { address, answers }
    }

    /// The URL that replaces the provider's API for a source.
    pub fn url(&self, source: &str) -> String {
        format!("http://{}/{source}", self.address)
    }

    /// The settings that point a source to this server, which then returns the answers of its
    /// vector.
    pub fn settings(&self, source: &str, vector: &Vector) -> Vec<(&'static str, String)> {
        let mut answers = self.answers.lock().unwrap();
        for (url, answer) in &vector.config.fetch {
            let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
            let answer = match answer {
                Value::String(text) => (200, text.clone()),
                status => (u16::try_from(status.as_u64().unwrap()).unwrap(), String::new()),
            };
            answers.insert(format!("/{source}{}", path.unwrap()), answer);
        }
        let of_provider = ADDRESSES.iter().filter(|(provider, ..)| *provider == vector.provider());
        let here = |(_, setting, default): &(&str, &'static str, &str)| {
            let settings = vector.settings();
            let given =
                settings.get(*setting).and_then(|values| values.first()).map_or(*default, String::as_str);
            let rest = given.split_once("://").map_or("", |(_, rest)| rest);
            let path = rest.find('/').map_or("", |at| &rest[at..]);
            (*setting, format!("{}{path}", self.url(source)))
        };
        of_provider.map(here).collect()
    }
}

fn serve(stream: &TcpStream, answers: &Mutex<Answers>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let (status, body) = answers.lock().unwrap().get(&path).cloned().unwrap_or((404, String::new()));
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if (&mut &*stream).write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// The expected outcomes of stored messages.
#[derive(Default)]
pub struct Expected {
    confirmed: BTreeSet<i64>,
    refused: BTreeSet<i64>,
}

impl Expected {
    pub fn confirmed(&mut self, message: i64) {
        self.confirmed.insert(message);
    }

    pub fn refused(&mut self, message: i64) {
        self.refused.insert(message);
    }

    pub fn count(&self) -> usize {
        self.confirmed.len() + self.refused.len()
    }

    /// Advances the clock through the retry schedule and compares each outcome. `move_on` advances
    /// it past the longest pause of the schedule and wakes the service.
    pub fn problems(&self, database: &Connection, mut move_on: impl FnMut()) -> Vec<String> {
        let deadline = Instant::now() + TIMEOUT;
        let awaiting = "SELECT count(*) FROM messages WHERE confirmation = 'awaiting' AND source <> 'wake'";
        while database.query_row(awaiting, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
            assert!(Instant::now() < deadline, "some are not settled in time");
            move_on();
            std::thread::sleep(Duration::from_millis(20));
        }
        let end = |message: &i64| -> (String, i64) {
            let sql = "SELECT confirmation, (SELECT count(*) FROM deliveries WHERE message_id = messages.id)
                       FROM messages WHERE id = ?1";
            database.query_row(sql, [message], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        // Two vectors can send the same message. The one that is confirmed second is a repeat.
        let is_repeat = |message: &i64| -> bool {
            let sql = "SELECT reason FROM confirmations WHERE message_id = ?1";
            let reason: Option<String> = database.query_row(sql, [message], |row| row.get(0)).unwrap();
            let original =
                reason.as_deref().and_then(|text| text.strip_prefix("repeats the confirmed message "));
            original.and_then(|id| id.parse().ok()).is_some_and(|id: i64| self.confirmed.contains(&id))
        };
        let confirmed = self.confirmed.iter().map(|message| (message, ("confirmed".to_owned(), 1)));
        let refused = self.refused.iter().map(|message| (message, ("refused".to_owned(), 0)));
        let wrong = confirmed
            .chain(refused)
            .filter(|(message, expected)| end(message) != *expected && !is_repeat(message));
        wrong.map(|(message, _)| format!("message {message} is {:?}", end(message))).collect()
    }
}
