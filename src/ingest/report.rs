//! Updates the metrics of a webhook, and writes its log line.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::Uri;
use actix_web::{HttpRequest, HttpResponse};

use crate::http::request_log::{LogEntry, LogPath};
use crate::ingest::error::ReceiveError;
use crate::ingest::webhooks::Mount;
use crate::store::{Receipt, UnreadableReason};
use crate::verification::Source;

/// Facts about a request, which `receive` fills in step by step.
#[derive(Default)]
pub struct Report {
    pub client: Option<IpAddr>,
    pub event_type: Option<String>,
    pub kept: Option<Receipt>,
    pub unreadable: Option<UnreadableReason>,
}

/// Counts a request.
pub fn count(mount: &Mount, report: &Report, error: Option<ReceiveError>, took: Duration) {
    let (metrics, all) = (&mount.endpoint.metrics, &mount.webhooks.service.metrics);
    if let Some(kept) = report.kept {
        all.ack_seconds.observe(took.as_secs_f64());
        metrics.received.inc();
        if matches!(kept, Receipt::Duplicate { .. }) {
            metrics.duplicates.inc();
        } else if let Some(reason) = report.unreadable {
            metrics.unreadable(reason);
        }
    }
    if let Some(cause) = error.and_then(ReceiveError::cause) {
        metrics.rejected(cause);
    }
    if let Some(reason) = error.and_then(ReceiveError::unavailable_reason) {
        all.unavailable(reason);
    }
}

/// Writes the log line of a request.
pub fn log(
    mount: &Mount,
    request: &HttpRequest,
    response: &HttpResponse,
    report: &Report,
    error: Option<ReceiveError>,
    took: Duration,
) {
    let is_known_route = error != Some(ReceiveError::NotFound);
    let may_be_wrong_url = error.is_some_and(ReceiveError::may_concern_url);
    let source = &mount.endpoint.source;
    let signed_url = if may_be_wrong_url { signed_url(source, request.uri()) } else { None };
    let entry = LogEntry {
        method: request.method().as_str(),
        path: if is_known_route {
            LogPath::Known(source.path())
        } else {
            LogPath::Unknown(request.uri().path())
        },
        status: response.status().as_u16(),
        took,
        source: is_known_route.then_some(&*source.name),
        event_type: report.event_type.as_deref(),
        id: report.kept.map(|receipt| receipt.id().get()),
        is_duplicate: matches!(report.kept, Some(Receipt::Duplicate { .. })),
        conflict_of: match report.kept {
            Some(Receipt::Conflict { of, .. }) => Some(of.get()),
            _ => None,
        },
        unreadable: report.unreadable.map(UnreadableReason::name),
        cause: error.and_then(ReceiveError::cause),
        reason: error.and_then(ReceiveError::unavailable_reason),
        signed_url: signed_url.as_deref(),
        ip: report.client,
    };
    entry.write(mount.webhooks.service.log_format);
}

/// Returns the URL that the scheme signs, without secrets.
fn signed_url(source: &Source, uri: &Uri) -> Option<String> {
    let target = uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str());
    source.shown_signed_url(target, uri.query().unwrap_or_default())
}
