//! `creel diff`: the difference of two messages.

use std::process::ExitCode;

use serde_json::value::RawValue;

use super::messages;
use super::output::{Failure, harmless_line, is_coloured, print, print_error};
use super::remote::{Address, understood, with_query};
use super::send::block_on;
use crate::api::types::diff::{
    BodyDiff, DiffLimitation, DiffMethod, LinesDiff, MessageDiff, PayloadChange, PayloadChangeKind,
    TextPartDiff, TextPartSide,
};
use crate::api::types::message::MessageHead;
use crate::api::types::words::Word;
use crate::store::headers::readable;

/// Exit code after an error, as that of diff, because 1 means different.
const ERROR: u8 = 2;
/// Limit on a shown value; --json prints all of it.
const MAX_SHOWN_CHARACTERS: usize = 100;
/// Limit on the shown parts of two texts.
const MAX_SHOWN_PARTS: usize = 40;
/// Characters of a common part that are shown before and after a difference.
const CONTEXT_CHARACTERS: usize = 20;

/// Messages and output format.
#[derive(Debug, clap::Args)]
pub struct DiffArguments {
    /// The id of the first message.
    id: u64,

    /// The id of the second message.
    #[arg(required_unless_present = "previous", conflicts_with = "previous")]
    other: Option<u64>,

    /// Compare with the newest earlier message of the same source and event.
    #[arg(long)]
    previous: bool,

    /// Hide differences of ids and times alone.
    #[arg(long)]
    hide_noise: bool,

    /// Print the service's JSON for the difference.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    address: Address,
}

pub fn run(arguments: &DiffArguments) -> ExitCode {
    match compare(arguments) {
        Ok((text, is_different)) => {
            print(&text);
            ExitCode::from(u8::from(is_different))
        }
        Err(failure) => {
            print_error(&failure);
            ExitCode::from(ERROR)
        }
    }
}

/// Returns the output, and whether the messages differ.
fn compare(arguments: &DiffArguments) -> Result<(String, bool), Failure> {
    let remote = arguments.address.remote()?;
    let other = arguments.other.map_or_else(|| "previous".to_owned(), |id| id.to_string());
    let path = with_query(
        &format!("/messages/{}/diff/{other}", arguments.id),
        &[("hide_noise", arguments.hide_noise.then_some("true"))],
    );
    let json: Box<RawValue> = block_on(remote.get_large(&path))??;
    let diff: MessageDiff = understood(json.get())?;
    let text = match arguments.json {
        true => format!("{}\n", json.get()),
        false => report(&diff, Style { is_coloured: is_coloured() }),
    };
    Ok((text, diff.different))
}

/// Colours for a terminal, or none.
#[derive(Clone, Copy, Debug)]
struct Style {
    is_coloured: bool,
}

impl Style {
    fn left(self, text: &str) -> String {
        self.painted("31", text)
    }

    fn right(self, text: &str) -> String {
        self.painted("32", text)
    }

    fn path(self, text: &str) -> String {
        self.painted("1", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn report(diff: &MessageDiff, style: Style) -> String {
    let mut text = format!("left   {}", messages::line(&diff.left));
    text.push_str(&format!("right  {}", messages::line(&diff.right)));
    let mut push = |path: &str, rest: String| {
        text.push_str(&format!("{}  {rest}\n", style.path(&harmless_line(path))));
    };
    for field in &diff.fields {
        push(&field.name, sides(field.left.as_deref(), field.right.as_deref(), style));
    }
    for header in &diff.headers {
        let joined = |values: &[String]| {
            let values: Vec<&str> = values.iter().map(|value| readable(value)).collect();
            (!values.is_empty()).then(|| values.join(", "))
        };
        let (left, right) = (joined(&header.left), joined(&header.right));
        push(&format!("header {}", header.name), sides(left.as_deref(), right.as_deref(), style));
    }
    for change in &diff.body.changes {
        let (path, rest) = change_line(change, style);
        push(&path, rest);
    }
    for lines in &diff.body.lines {
        for (path, rest) in line_pairs(lines, style) {
            push(&path, rest);
        }
    }
    if matches!(diff.body.method, Word::Known(DiffMethod::Bytes)) && !diff.body.same_bytes {
        push("body", sides(Some(&bytes(&diff.left)), Some(&bytes(&diff.right)), style));
    }
    for remark in remarks(diff) {
        text.push_str(&format!("{remark}\n"));
    }
    text
}

/// Formats the length and the hash of a body.
fn bytes(head: &MessageHead) -> String {
    format!("{} bytes, SHA-256 {}", head.body_bytes, head.body_sha256.as_deref().unwrap_or_default())
}

/// Formats the values of both sides as `diff -y` does.
fn sides(left: Option<&str>, right: Option<&str>, style: Style) -> String {
    let left = left.map(|left| style.left(&shown(left)));
    let right = right.map(|right| style.right(&shown(right)));
    match (left, right) {
        (Some(left), Some(right)) => format!("{left} | {right}"),
        (Some(left), None) => format!("{left} <"),
        (None, Some(right)) => format!("> {right}"),
        (None, None) => String::new(),
    }
}

/// Escapes a value for one line, and cuts it.
fn shown(value: &str) -> String {
    let cut: String = value.chars().take(MAX_SHOWN_CHARACTERS).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("{}{more}", harmless_line(&cut))
}

/// Returns the path of a change and the rest of its line.
fn change_line(change: &PayloadChange, style: Style) -> (String, String) {
    // The pointer of the whole document is empty.
    let path = if change.path.is_empty() { "(body)" } else { &change.path };
    let right_path = change.right_path.as_ref().map(|right| format!(" -> {right}"));
    // A JSON null is read as an absent value.
    let raw = |value: &Option<Box<RawValue>>| value.as_ref().map_or("null", |value| value.get()).to_owned();
    let rest = match &change.kind {
        Word::Known(PayloadChangeKind::Moved) => {
            let to = change.right_path.as_deref().unwrap_or_default();
            return (path.to_owned(), format!("moved to {}", harmless_line(to)));
        }
        Word::Known(PayloadChangeKind::OnlyLeft) => sides(Some(&raw(&change.left)), None, style),
        Word::Known(PayloadChangeKind::OnlyRight) => sides(None, Some(&raw(&change.right)), style),
        Word::Known(PayloadChangeKind::Changed) if !change.words.is_empty() => words(&change.words, style),
        Word::Known(PayloadChangeKind::Changed) | Word::Unknown(_) => {
            sides(Some(&raw(&change.left)), Some(&raw(&change.right)), style)
        }
    };
    (format!("{path}{}", right_path.unwrap_or_default()), rest)
}

/// Formats the parts of two texts as `git diff --word-diff` does, with the middle of long common
/// parts omitted.
fn words(parts: &[TextPartDiff], style: Style) -> String {
    let last = parts.len().saturating_sub(1);
    let part = |(at, part): (usize, &TextPartDiff)| match part.side {
        Word::Known(TextPartSide::Left) => style.left(&format!("[-{}-]", shown(&part.text))),
        Word::Known(TextPartSide::Right) => style.right(&format!("{{+{}+}}", shown(&part.text))),
        Word::Known(TextPartSide::Both) | Word::Unknown(_) => {
            harmless_line(&shortened(&part.text, at == 0, at == last))
        }
    };
    let shown: String = parts.iter().enumerate().take(MAX_SHOWN_PARTS).map(part).collect();
    if parts.len() > MAX_SHOWN_PARTS { format!("{shown}…") } else { shown }
}

/// Omits the middle of a common part, or the side without a difference.
fn shortened(text: &str, is_first: bool, is_last: bool) -> String {
    let characters: Vec<char> = text.chars().collect();
    let (start, end) =
        (if is_first { 0 } else { CONTEXT_CHARACTERS }, if is_last { 0 } else { CONTEXT_CHARACTERS });
    if characters.len() <= start + end + 1 {
        return text.to_owned();
    }
    let before: String = characters[..start].iter().collect();
    let after: String = characters[characters.len() - end..].iter().collect();
    format!("{before}…{after}")
}

/// Returns a line for each pair of differing lines, and for each line without a partner.
fn line_pairs(lines: &LinesDiff, style: Style) -> Vec<(String, String)> {
    let pair = |at: usize| {
        let (left, right) = (lines.left.get(at).map(String::as_str), lines.right.get(at).map(String::as_str));
        let (short_left, short_right) = (left.map(without_break), right.map(without_break));
        // Lines that differ only in their breaks are shown with them.
        let (left, right) = match short_left == short_right {
            true => (left, right),
            false => (short_left, short_right),
        };
        let number = if left.is_some() { lines.left_line + at } else { lines.right_line + at };
        (format!("line {number}"), sides(left, right, style))
    };
    (0..lines.left.len().max(lines.right.len())).map(pair).collect()
}

fn without_break(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// Explains the method of the comparison, and counts the differences that are not listed.
fn remarks(diff: &MessageDiff) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(body_remark(&diff.body, diff.hidden));
    if diff.body.left_out > 0 {
        remarks.push(format!("not listed: {} of the body", differences(diff.body.left_out)));
    }
    if diff.hidden > 0 {
        remarks.push(format!("hidden: {} of ids and times", differences(diff.hidden)));
    }
    if !diff.different {
        remarks.push("no differences".to_owned());
    }
    remarks
}

fn differences(count: usize) -> String {
    format!("{count} {}", if count == 1 { "difference" } else { "differences" })
}

fn body_remark(body: &BodyDiff, hidden: usize) -> Option<String> {
    if body.same_bytes {
        return None;
    }
    let why = match &body.limitation {
        None => "",
        Some(Word::Known(DiffLimitation::NotJson)) => "not JSON",
        Some(Word::Known(DiffLimitation::Binary)) => "not text",
        Some(Word::Known(DiffLimitation::TooLarge)) => "too large",
        Some(Word::Known(DiffLimitation::TooManyValues)) => "too many values",
        Some(Word::Unknown(why)) => why,
    };
    match &body.method {
        Word::Known(DiffMethod::Json) if body.changes.is_empty() && body.left_out == 0 && hidden == 0 => {
            Some("body: other bytes, same JSON".to_owned())
        }
        Word::Known(DiffMethod::Json) => None,
        Word::Known(DiffMethod::Lines) => Some(format!("body: compared by lines ({})", harmless_line(why))),
        Word::Known(DiffMethod::Bytes) | Word::Unknown(_) => {
            Some(format!("body: compared by bytes ({})", harmless_line(why)))
        }
    }
}

#[cfg(test)]
mod tests;
