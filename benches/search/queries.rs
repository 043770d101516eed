//! The queries, in classes of 300 different ones.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Outcome;
use crate::content::{Generator, LABELS, SOURCES, event, label, source, version};

pub const QUERIES: u64 = 300;

/// Queries of the same form.
#[derive(Debug)]
pub struct QueryClass {
    pub name: &'static str,
    pub queries: Vec<String>,
    /// Number of pages before the measured one.
    pub pages_before: usize,
}

/// A query by its number, from 0 to 299.
type Form<'f> = (&'static str, &'f dyn Fn(u64) -> String);

/// Returns all classes, for a database with the messages from 1 to `messages`.
pub fn classes(content: &Generator, messages: u64) -> Outcome<Vec<QueryClass>> {
    let word = |rank| content.word(rank);
    let any = |number: u64| content.sample(1 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % messages);
    let times = (0..QUERIES).map(|number| time_text(content.received_at(messages * number / QUERIES)));
    let times: Vec<String> = times.collect::<Outcome<_>>()?;
    let period = |number: u64| {
        let key = if number.is_multiple_of(2) { "after" } else { "before" };
        format!("{key}:{}", times[number as usize])
    };
    let forms: [Form<'_>; 17] = [
        ("rare id", &|number| any(number).object_id),
        ("common word", &|number| word(number).to_owned()),
        ("two common words", &|number| format!("{} {}", word(number % 20), word(20 + number / 20))),
        ("word and number", &|number| {
            let sample = any(number);
            format!("{} {}", sample.words[0], sample.amount)
        }),
        // No word of a message begins with these letters.
        ("absent word", &|number| format!("zq{number:x}")),
        ("beginning of 2 characters", &|number| {
            let number = number * 431 % (36 * 36);
            format!("{}{}*", alphanumeric(number / 36), alphanumeric(number % 36))
        }),
        ("beginning of 3 characters", &|number| {
            format!("{}{}*", &word(number)[..2], alphanumeric(10 + number / 12))
        }),
        ("source", &|number| source_list(number)),
        ("source and word", &|number| format!("source:{} {}", source(number % SOURCES), word(number))),
        ("event", &|number| format!("event:{}", event(number))),
        ("`.status:paid` and word", &|number| format!(".status:paid {}", word(number))),
        ("word of a header", &|number| format!("header.user-agent:{}", version(number))),
        ("quoted text", &|number| format!("\"{}\"", any(number).words[1..4].join(" "))),
        ("word and negated word", &|number| format!("{} -{}", word(number % 20), word(20 + number / 20))),
        ("`after:` or `before:`", &period),
        ("`after:` or `before:`, and word", &|number| {
            format!("{} {}", period(number), word(number * 7 % QUERIES))
        }),
        ("two words that never meet", &|number| {
            let (first, distance) = (number % LABELS, 1 + number / LABELS);
            format!("{} {}", label(first), label((first + distance) % LABELS))
        }),
    ];
    let class = |(name, query): &Form<'_>, pages_before| QueryClass {
        name,
        queries: (0..QUERIES).map(query).collect(),
        pages_before,
    };
    let mut classes: Vec<QueryClass> = forms.iter().map(|form| class(form, 0)).collect();
    classes.push(class(&("common word, page 11", forms[1].1), 10));
    Ok(classes)
}

/// Returns one of the 24 sources, or one of the 276 pairs of them.
fn source_list(number: u64) -> String {
    if number < SOURCES {
        return format!("source:{}", source(number));
    }
    let number = number - SOURCES;
    let (first, distance) = (number % SOURCES, 1 + number / SOURCES);
    format!("source:{},{}", source(first), source((first + distance) % SOURCES))
}

fn alphanumeric(number: u64) -> char {
    char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[number as usize])
}

fn time_text(time: OffsetDateTime) -> Outcome<String> {
    Ok(time.replace_nanosecond(0)?.format(&Rfc3339)?)
}
