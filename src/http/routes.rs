//! All routes, in reading order.

use std::sync::Arc;
use std::time::Instant;

use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};

use super::request_log::{self, Details, Line};
use super::state::{Inbox, Service};
use super::{operations, receive, reply};
use crate::config::LogFormat;

/// Alive and ready: on both addresses.
pub fn health_routes(app: &mut ServiceConfig, service: &Data<Service>, format: LogFormat) {
    app.app_data(service.clone())
        .route("/healthz", web::get().to(operations::healthz))
        .route("/readyz", web::get().to(operations::readyz))
        .default_service(web::to(move |request: HttpRequest| nothing_here(request, format)));
}

/// What is for the operator alone.
pub fn admin_routes(app: &mut ServiceConfig) {
    app.route("/metrics", web::get().to(operations::metrics));
}

/// One resource for each source, with and without the random path part. Which of them it must be, and everything
/// after that, is the handler's matter.
pub fn inbox_routes(app: &mut ServiceConfig, inboxes: &[Arc<Inbox>], format: LogFormat) {
    for inbox in inboxes {
        let name = &inbox.name;
        let paths = ["", "/", "/{path}", "/{path}/"].map(|rest| format!("/webhooks/{name}{rest}"));
        let inbox = inbox.clone();
        let handler = move |request: HttpRequest, payload: Payload| {
            receive::receive(inbox.clone(), request, payload, format)
        };
        app.service(web::resource(paths).to(handler));
    }
}

async fn nothing_here(request: HttpRequest, format: LogFormat) -> HttpResponse {
    let began = Instant::now();
    let response = reply::not_found();
    // Its path may hold somebody's mistyped secret.
    let line = Line {
        method: request.method().as_str(),
        path: "(unknown)",
        status: response.status().as_u16(),
        took: began.elapsed(),
        source: None,
        ip: request.peer_addr().map(|peer| peer.ip()),
        details: Details::None,
    };
    request_log::write(&line, format);
    response
}
