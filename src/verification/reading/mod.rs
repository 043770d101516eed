//! Turns a verified body into stored content: JSON as received, a payload decoded to JSON, or the
//! reason why the body is unreadable. Must never change the bytes of the body.

use bytes::Bytes;

use crate::json;
use crate::providers::body::{BodyKind, may_be_json, open};
use crate::providers::json::PathValues;
use crate::providers::{
    CharsetProblem, CodingProblem, DecodeBudget, Description, FormProblem, Request, Verifier, charset,
    codings,
};
use crate::store::{MessageContent, UnreadableReason};
use crate::verification::room::{DecodingReservation, DecodingRoom};

/// Maximum size of a compressed body that is read on the calling thread. Larger ones are read on a
/// blocking thread.
const MAX_INLINE_CODED_BYTES: usize = 8 << 10;
/// Maximum decompressed size of a form whose fields are read although it is unreadable as a whole.
const MAX_SHORT_FIELDS_BYTES: usize = 1 << 20;
/// Maximum factor by which a text grows when it is converted to UTF-8.
const MAX_GROWTH_OF_TEXT: usize = 3;

/// The stored content of a body, its description, and the reservation of a decoded payload.
type ReadBody = (MessageContent, Description, Option<Box<dyn DecodingReservation>>);

/// The body budget has no room for the decoded body at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Whether a body below `OFFLOAD_BYTES_MIN` can be read on the async thread. Compressed bodies can
/// expand a lot.
pub fn is_quick(request: &Request<'_>) -> bool {
    let is_coded = || codings(request.headers).is_ok_and(|codings| !codings.is_empty());
    request.body.len() <= MAX_INLINE_CODED_BYTES || !is_coded()
}

/// Reads the body of an authenticated request. Also returns the reservation of a decoded payload.
///
/// # Errors
/// The body budget has no room for the decoded body.
pub fn read(
    verifier: &Verifier,
    request: &Request<'_>,
    body: &Bytes,
    mut room: DecodingRoom,
) -> Result<ReadBody, NoRoom> {
    // Headers can be wrong: JSON labelled as a form, a Content-Encoding that a proxy has already
    // removed from the body, a false charset. This makes the same decision as `open`, and parses in
    // the same pass.
    let mut text = None;
    if may_be_json(body, request.headers) {
        text = verifier.read_json(body);
    }
    let has_mark = json::without_mark(body).len() < body.len();
    if text.is_some() && !has_mark {
        return Ok((MessageContent::Json(body.clone()), verifier.describe(request, text.as_ref()), None));
    }
    let payload = match text {
        Some(_) => copied(body, &mut room),
        None => payload(verifier, request, &mut room),
    };
    match payload {
        Ok(payload) => {
            let text = text.or_else(|| verifier.read_json(payload.as_bytes()));
            let content = MessageContent::Decoded { body: body.clone(), payload };
            Ok((content, verifier.describe(request, text.as_ref()), room.reservation))
        }
        Err(ReadingProblem::NoRoom) => Err(NoRoom),
        Err(ReadingProblem::Unreadable(reason)) => {
            let content = MessageContent::Unreadable { body: body.clone(), reason };
            Ok((content, verifier.describe(request, text.as_ref()), None))
        }
        Err(ReadingProblem::UnreadableForm(reason, fields)) => {
            let content = MessageContent::Unreadable { body: body.clone(), reason };
            Ok((content, verifier.describe(request, fields.as_deref()), None))
        }
    }
}

/// Reserves `bytes` in total.
fn take(room: &mut DecodingRoom, bytes: usize) -> Result<(), ReadingProblem> {
    // A larger reservation could fail even on an idle service; the request would then be answered
    // 503 on every retry.
    if bytes > room.max_bytes {
        return Err(CodingProblem::TooLarge.into());
    }
    if room.grow_to(bytes) { Ok(()) } else { Err(ReadingProblem::NoRoom) }
}

/// Copies JSON without its byte order mark.
fn copied(body: &[u8], room: &mut DecodingRoom) -> Result<String, ReadingProblem> {
    take(room, body.len())?;
    Ok(text_of(body.to_vec()))
}

enum ReadingProblem {
    Unreadable(UnreadableReason),
    /// An unreadable form, with its readable fields.
    UnreadableForm(UnreadableReason, Option<Box<PathValues>>),
    NoRoom,
}

impl From<CodingProblem> for ReadingProblem {
    fn from(problem: CodingProblem) -> Self {
        Self::Unreadable(match problem {
            CodingProblem::Unknown => UnreadableReason::UnknownCoding,
            CodingProblem::Malformed => UnreadableReason::MalformedCoding,
            CodingProblem::TooLarge => UnreadableReason::ExpandsTooMuch,
            CodingProblem::NoRoom => return Self::NoRoom,
        })
    }
}

impl From<CharsetProblem> for ReadingProblem {
    fn from(problem: CharsetProblem) -> Self {
        Self::Unreadable(match problem {
            CharsetProblem::Unknown => UnreadableReason::UnknownCharset,
            CharsetProblem::Malformed => UnreadableReason::MalformedText,
        })
    }
}

impl From<FormProblem> for UnreadableReason {
    fn from(problem: FormProblem) -> Self {
        match problem {
            FormProblem::TooLarge => Self::FormTooLarge,
            FormProblem::UnknownCharset => Self::UnknownCharset,
            FormProblem::MalformedText => Self::MalformedText,
            FormProblem::NotJson => Self::NotJson,
            FormProblem::TooDeep => Self::TooDeep,
        }
    }
}

impl From<json::JsonProblem> for ReadingProblem {
    fn from(problem: json::JsonProblem) -> Self {
        Self::Unreadable(problem.into())
    }
}

impl From<json::JsonProblem> for UnreadableReason {
    fn from(problem: json::JsonProblem) -> Self {
        match problem {
            json::JsonProblem::NotJson => Self::NotJson,
            json::JsonProblem::TooDeep => Self::TooDeep,
        }
    }
}

/// Decodes a body that is not plain JSON.
fn payload(
    verifier: &Verifier,
    request: &Request<'_>,
    room: &mut DecodingRoom,
) -> Result<String, ReadingProblem> {
    if request.body.is_empty() {
        return Err(ReadingProblem::Unreadable(UnreadableReason::Empty));
    }
    let opened = open(request, room)?;
    let kind = opened.kind.clone();
    let decoded = opened.into_decoded();
    let body = decoded.as_deref().unwrap_or(request.body);
    match kind {
        BodyKind::Json => {
            json::document(body)?;
            Ok(text_of(decoded.unwrap_or_else(|| request.body.to_vec())))
        }
        BodyKind::Form(_) => {
            let form = Request { body, ..*request };
            match verifier.form_to_json(&form) {
                Ok(payload) => payload.ok_or(ReadingProblem::Unreadable(UnreadableReason::NotJson)),
                Err(problem) => {
                    // No memory is reserved for these fields, so those of a large compressed form
                    // are not read.
                    let is_read = decoded.is_none() || body.len() <= MAX_SHORT_FIELDS_BYTES;
                    let fields = is_read.then(|| verifier.short_fields(&form, problem)).flatten();
                    Err(ReadingProblem::UnreadableForm(problem.into(), fields.map(Box::new)))
                }
            }
        }
        BodyKind::Other => {
            let Some((charset, mark)) = charset::of_json(body, request.headers)? else {
                return Err(json::JsonProblem::NotJson.into());
            };
            let held = decoded.as_ref().map_or(0, Vec::capacity);
            take(room, held + body.len() * MAX_GROWTH_OF_TEXT)?;
            let text = charset::decode(&body[mark..], charset)?;
            json::document(text.as_bytes())?;
            Ok(text_of(text.into_bytes()))
        }
    }
}

/// Returns the text of a document without its byte order mark.
fn text_of(mut document: Vec<u8>) -> String {
    let mark = document.len() - json::without_mark(&document).len();
    document.drain(..mark);
    String::from_utf8(document).unwrap_or_default()
}

#[cfg(test)]
mod tests;
