//! The routes of each address. `ingest/routes.rs` has those of webhooks, and `api/routes.rs` has
//! those of the admin API.

use std::sync::Arc;

use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, HttpRequest, guard, web};

use crate::api;
use crate::app::endpoints::{self, Access};
use crate::http::request_log::LogPath;
use crate::http::service::Service;
use crate::ingest::{self, Webhooks};
use crate::operate::Operator;
use crate::verification::Sources;

/// Set of routes served at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Webhooks and the operator's pages.
    Everything,
    /// Webhooks without the operator's pages, which have their own address.
    Webhooks,
    Operator,
}

/// The parts of the service that handle routes.
#[derive(Clone, Debug)]
pub struct RouteHandlers {
    pub service: web::Data<Service>,
    pub sources: web::Data<Sources>,
    pub operator: web::Data<Operator>,
    pub webhooks: Arc<Webhooks>,
}

/// Creates the actix app of an address; the only place that creates one.
pub fn application(
    handlers: &RouteHandlers,
    surface: Surface,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>
    + use<>,
> {
    App::new()
        .app_data(handlers.service.clone())
        .app_data(handlers.sources.clone())
        .app_data(handlers.operator.clone())
        .configure(|config| mount(config, &handlers.webhooks, surface))
}

fn mount(config: &mut web::ServiceConfig, webhooks: &Arc<Webhooks>, surface: Surface) {
    if surface != Surface::Operator {
        ingest::mount(config, webhooks);
    }
    if surface != Surface::Webhooks {
        let access = if surface == Surface::Operator { Access::Free } else { Access::WithToken };
        mount_metrics(config, access);
        api::routes::mount(config);
    }
    config
        .service(web::resource("/healthz").route(read().to(healthz)).default_service(web::to(healthz_wrong)))
        .service(web::resource("/readyz").route(read().to(readyz)).default_service(web::to(readyz_wrong)))
        .default_service(web::to(unknown_path));
}

fn mount_metrics(config: &mut web::ServiceConfig, access: Access) {
    let metrics = move |service: web::Data<Service>, request: HttpRequest| async move {
        let page = endpoints::metrics(&service, &request, access);
        endpoints::answer(&service, &request, LogPath::Known("/metrics"), page).await
    };
    let wrong = |service: web::Data<Service>, request: HttpRequest| async move {
        endpoints::answer(&service, &request, LogPath::Known("/metrics"), endpoints::wrong_method()).await
    };
    config.service(web::resource("/metrics").route(read().to(metrics)).default_service(web::to(wrong)));
}

fn read() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn healthz(service: web::Data<Service>, request: HttpRequest) -> actix_web::HttpResponse {
    endpoints::answer(&service, &request, LogPath::Known("/healthz"), endpoints::health()).await
}

async fn healthz_wrong(service: web::Data<Service>, request: HttpRequest) -> actix_web::HttpResponse {
    endpoints::answer(&service, &request, LogPath::Known("/healthz"), endpoints::wrong_method()).await
}

async fn readyz(service: web::Data<Service>, request: HttpRequest) -> actix_web::HttpResponse {
    endpoints::answer(&service, &request, LogPath::Known("/readyz"), endpoints::readiness(&service)).await
}

async fn readyz_wrong(service: web::Data<Service>, request: HttpRequest) -> actix_web::HttpResponse {
    endpoints::answer(&service, &request, LogPath::Known("/readyz"), endpoints::wrong_method()).await
}

async fn unknown_path(service: web::Data<Service>, request: HttpRequest) -> actix_web::HttpResponse {
    let path = LogPath::Unknown(request.uri().path());
    endpoints::answer(&service, &request, path, endpoints::unknown_path()).await
}
