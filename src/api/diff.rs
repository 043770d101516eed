//! The difference of two messages.

use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::input::{Id, Query};
use super::types::diff::{
    BodyDiff, DiffLimitation, DiffMethod, FieldDiff, HeaderDiff, LinesDiff, MessageDiff, PayloadChange,
    PayloadChangeKind, TextPartDiff, TextPartSide,
};
use super::types::message::MessageHead;
use crate::http::tokens::Role;
use crate::operate::diff::{
    BodyDelta, Change, ChangeKind, ComparisonLimitation, ComparisonMethod, FieldDelta, HeaderDelta,
    LineChange, MessageDelta, TextSide,
};
use crate::operate::{ComparedMessages, Operator, OtherMessage};
use crate::request_id;
use crate::store::{MessageId, MessageRow};

/// Selects the newest earlier message of the same source and event, instead of an id.
const PREVIOUS: &str = "previous";

/// Options of a comparison.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct DiffOptions {
    /// True hides differences of ids and times alone: times in ISO 8601 and Unix times, UUIDs,
    /// hexadecimal texts of at least 16 digits, and ids with a prefix such as
    /// `evt_1NG8Du2eZvKYlo2C`.
    pub hide_noise: Option<bool>,
}

/// The difference of two messages: event, source, method, query, headers and body.
///
/// `other` is the id of a message, or `previous` for the newest earlier message of the same source
/// and event. JSON is compared as a tree: objects by key, lists by alignment, long texts by words,
/// numbers as written. Payloads above 1 MiB or 20,000 values are compared line by line. Only for
/// the admin token.
#[cfg_attr(test, utoipa::path(get, path = "/messages/{id}/diff/{other}", tag = "messages",
    params(
        ("id" = i64, Path, minimum = 1, example = 42),
        ("other" = String, Path, pattern = "^([1-9][0-9]{0,17}|previous)$", example = "previous"),
        DiffOptions,
    ),
    responses(
        (status = 200, description = "The difference.", body = MessageDiff),
        (status = 404, description = "One of the messages does not exist (`not_found`), or there is no earlier message of the same source and event (`no_previous_message`)."),
        (status = 422, description = "The search for an earlier message took longer than 10 s (`too_broad`): pass an id."),
    )))]
pub async fn diff(
    operator: web::Data<Operator>,
    role: Role,
    id: Id<MessageId>,
    request: HttpRequest,
    query: Query<DiffOptions>,
) -> Result<HttpResponse, ApiError> {
    role.must_be_admin("the content of messages")?;
    let other = other(request.match_info().get("other").unwrap_or_default())?;
    let compared = operator.diff(id.0, other, query.0.hide_noise.unwrap_or(false)).await?;
    // The reply can have several MiB, which would block an async thread for too long.
    let written = web::block(request_id::for_thread(move || written(compared, role))).await;
    let json = written.map_err(|_| ApiError::Internal)?.map_err(|_| ApiError::Internal)?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(json))
}

fn written(compared: ComparedMessages, role: Role) -> serde_json::Result<Vec<u8>> {
    let ComparedMessages { left, right, delta, permit } = compared;
    let json = serde_json::to_vec(&MessageDiff::of(left, right, delta, role));
    drop(permit);
    json
}

fn other(text: &str) -> Result<OtherMessage, ApiError> {
    if text == PREVIOUS {
        return Ok(OtherMessage::Previous);
    }
    let id = text.parse::<MessageId>().ok().filter(|id| *id > MessageId::START);
    id.map(OtherMessage::Id).ok_or(ApiError::NoSuchId)
}

impl MessageDiff {
    fn of(left: MessageRow, right: MessageRow, delta: MessageDelta, role: Role) -> Self {
        let different = delta.is_different();
        let MessageDelta { fields, headers, body, hidden } = delta;
        Self {
            left: MessageHead::of(left, role),
            right: MessageHead::of(right, role),
            different,
            hidden,
            fields: fields.into_iter().map(FieldDiff::from).collect(),
            headers: headers.into_iter().map(HeaderDiff::from).collect(),
            body: body.into(),
        }
    }
}

impl From<FieldDelta> for FieldDiff {
    fn from(FieldDelta { name, left, right, is_noise }: FieldDelta) -> Self {
        Self { name: name.to_owned(), left, right, noise: is_noise }
    }
}

impl From<HeaderDelta> for HeaderDiff {
    fn from(HeaderDelta { name, left, right, is_noise }: HeaderDelta) -> Self {
        Self { name, left, right, noise: is_noise }
    }
}

impl From<BodyDelta> for BodyDiff {
    fn from(body: BodyDelta) -> Self {
        Self {
            same_bytes: body.is_same,
            method: DiffMethod::from(body.method).into(),
            limitation: body.limitation.map(|limitation| DiffLimitation::from(limitation).into()),
            changes: body.changes.into_iter().map(PayloadChange::from).collect(),
            lines: body.line_changes.into_iter().map(LinesDiff::from).collect(),
            left_out: body.left_out,
        }
    }
}

impl From<ComparisonMethod> for DiffMethod {
    fn from(method: ComparisonMethod) -> Self {
        match method {
            ComparisonMethod::Json => Self::Json,
            ComparisonMethod::Lines => Self::Lines,
            ComparisonMethod::Bytes => Self::Bytes,
        }
    }
}

impl From<ComparisonLimitation> for DiffLimitation {
    fn from(limitation: ComparisonLimitation) -> Self {
        match limitation {
            ComparisonLimitation::NotJson => Self::NotJson,
            ComparisonLimitation::Binary => Self::Binary,
            ComparisonLimitation::TooLarge => Self::TooLarge,
            ComparisonLimitation::TooManyValues => Self::TooManyValues,
        }
    }
}

impl From<Change> for PayloadChange {
    fn from(change: Change) -> Self {
        // The values are parts of a document that was parsed.
        let raw = |value: Option<String>| value.and_then(|value| RawValue::from_string(value).ok());
        let kind = match change.kind {
            ChangeKind::Changed => PayloadChangeKind::Changed,
            ChangeKind::Moved => PayloadChangeKind::Moved,
            ChangeKind::OnlyLeft => PayloadChangeKind::OnlyLeft,
            ChangeKind::OnlyRight => PayloadChangeKind::OnlyRight,
        };
        Self {
            kind: kind.into(),
            path: change.path,
            right_path: change.right_path,
            left: raw(change.left),
            right: raw(change.right),
            words: change.parts.into_iter().map(TextPartDiff::from).collect(),
            noise: change.is_noise,
        }
    }
}

impl From<(TextSide, String)> for TextPartDiff {
    fn from((side, text): (TextSide, String)) -> Self {
        let side = match side {
            TextSide::Both => TextPartSide::Both,
            TextSide::Left => TextPartSide::Left,
            TextSide::Right => TextPartSide::Right,
        };
        Self { side: side.into(), text }
    }
}

impl From<LineChange> for LinesDiff {
    fn from(change: LineChange) -> Self {
        let LineChange { left_line, left, right_line, right, is_noise } = change;
        Self { left_line, left, right_line, right, noise: is_noise }
    }
}
