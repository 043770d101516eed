//! All routes of the API, in reading order.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Resource, ResponseError as _, Route, guard, web};

use super::error::ApiError;
use super::guard::guard as guard_middleware;
use super::{
    deliveries, diff, events, listeners, messages, openapi, rejections, replays, search, sources, stats,
    tail, targets,
};

/// Everything under `/api`.
pub fn mount(config: &mut web::ServiceConfig) {
    let version_1 = web::scope("/v1").configure(mount_version_1).default_service(web::to(unknown_path));
    let api = web::scope("/api").service(version_1).default_service(web::to(unknown_path));
    config.service(api.wrap(from_fn(guard_middleware)));
}

fn mount_version_1(config: &mut web::ServiceConfig) {
    config
        .service(at("/openapi.json", READ).route(get().to(openapi::document)))
        .service(at("/messages", READ).route(get().to(messages::list)))
        .service(at("/messages/stream", GET).route(web::get().to(tail::stream)))
        .service(at("/messages/{id}", READ).route(get().to(messages::one)))
        .service(at("/messages/{id}/body", READ).route(get().to(messages::body)))
        .service(at("/messages/{id}/diff/{other}", READ).route(get().to(diff::diff)))
        .service(at("/messages/{id}/confirm", POST).route(web::post().to(messages::confirm)))
        .service(at("/messages/{id}/replay", POST).route(web::post().to(replays::replay_one)))
        .service(at("/deliveries", READ).route(get().to(deliveries::list)))
        .service(at("/deliveries/{id}", READ).route(get().to(deliveries::one)))
        .service(at("/deliveries/{id}/retry", POST).route(web::post().to(replays::retry)))
        .service(at("/dead-letters", READ).route(get().to(deliveries::dead_letters)))
        .service(at("/events", POST).route(web::post().to(events::emit)))
        .service(
            at("/targets", "GET, HEAD, POST")
                .route(get().to(targets::list))
                .route(web::post().to(targets::create)),
        )
        .service(
            at("/targets/{id}", "GET, HEAD, PATCH, DELETE")
                .route(get().to(targets::one))
                .route(web::patch().to(targets::patch))
                .route(web::delete().to(targets::remove)),
        )
        .service(at("/targets/{id}/pause", POST).route(web::post().to(targets::pause)))
        .service(at("/targets/{id}/resume", POST).route(web::post().to(targets::resume)))
        .service(at("/targets/{id}/secret", POST).route(web::post().to(targets::rotate)))
        .service(
            at("/replays", "GET, HEAD, POST")
                .route(get().to(replays::list))
                .route(web::post().to(replays::create)),
        )
        .service(at("/replays/{id}", READ).route(get().to(replays::one)))
        .service(at("/replays/{id}/cancel", POST).route(web::post().to(replays::cancel)))
        .service(at("/listeners", READ).route(get().to(listeners::list)))
        .service(at("/listeners/{name}", "DELETE").route(web::delete().to(listeners::remove)))
        .service(at("/listeners/{name}/stream", GET).route(web::get().to(listeners::stream)))
        .service(at("/listeners/{name}/acknowledge", POST).route(web::post().to(listeners::acknowledge)))
        .service(at("/listeners/{name}/deliveries/{id}/body", READ).route(get().to(listeners::body)))
        .service(at("/search/status", READ).route(get().to(search::status)))
        .service(at("/sources", READ).route(get().to(sources::list)))
        .service(at("/stats", READ).route(get().to(stats::counts)))
        .service(at("/stats/forecast", READ).route(get().to(stats::forecast)))
        .service(at("/rejections", READ).route(get().to(rejections::list)))
        .service(at("/rejections/recheck", POST).route(web::post().to(rejections::recheck_all)))
        .service(at("/rejections/release", POST).route(web::post().to(rejections::release_all)))
        .service(at("/rejections/{id}", READ).route(get().to(rejections::one)))
        .service(at("/rejections/{id}/body", READ).route(get().to(rejections::body)))
        .service(
            at("/rejections/{id}/explanation", READ).route(get().to(rejections::explanation::explanation)),
        )
        .service(at("/rejections/{id}/recheck", POST).route(web::post().to(rejections::recheck)))
        .service(at("/rejections/{id}/release", POST).route(web::post().to(rejections::release)));
}

/// Methods of a read-only path, as a value of `Allow`.
const READ: &str = "GET, HEAD";
const GET: &str = "GET";
const POST: &str = "POST";

/// A path that responds with 405 to methods other than `allow`.
fn at(path: &str, allow: &'static str) -> Resource {
    let wrong = move || async move { HttpResponse::from_error(ApiError::MethodNotAllowed(allow.to_owned())) };
    web::resource(path).default_service(web::to(wrong))
}

fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn unknown_path() -> HttpResponse {
    ApiError::NoSuchPath.error_response()
}
