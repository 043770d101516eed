//! Generates the description from the handlers and the JSON types.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, HeaderBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::api::error::MEDIA_TYPE;
use crate::api::types::problem::ProblemDetails;
use crate::api::{
    deliveries, diff, events, listeners, messages, openapi, rejections, replays, search, sources, stats,
    tail, targets,
};

const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "creel",
        description = "A webhook inbox: its messages, their deliveries, and their errors.\n\n\
            Every request except for this document needs a token, `Authorization: Bearer <token>`. The admin token allows every operation, the \
            listener token only `/listeners`, and the read token all other GET requests, without the content of messages.\n\n\
            Errors are problems in the sense of RFC 9457; `code` is for programs. Lists are paged, newest first: \
            pass `next_cursor` as `cursor` until it is null. New items do not shift the pages. `/sources` and `/listeners` \
            have only one page.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/api/v1")),
    paths(
        openapi::document,
        messages::list,
        tail::stream,
        messages::one,
        messages::body,
        diff::diff,
        messages::confirm,
        replays::make::replay_one,
        deliveries::list,
        deliveries::one,
        replays::make::retry,
        deliveries::dead_letters,
        events::emit,
        targets::list,
        targets::change::create,
        targets::one,
        targets::change::patch,
        targets::remove,
        targets::pause,
        targets::resume,
        targets::secret::rotate,
        replays::list,
        replays::make::create,
        replays::one,
        replays::cancel,
        listeners::list,
        listeners::remove,
        listeners::stream,
        listeners::acknowledge,
        listeners::body,
        search::status,
        sources::list,
        stats::counts,
        stats::forecast,
        rejections::list,
        rejections::one,
        rejections::body,
        rejections::explanation::explanation,
        rejections::recheck::recheck_all,
        rejections::recheck::release_all,
        rejections::recheck::recheck,
        rejections::recheck::release,
    ),
    components(schemas(ProblemDetails)),
    modifiers(&TokenSecurity, &CommonProblems),
)]
struct Api;

/// Adds token security to every operation that does not declare its own.
struct TokenSecurity;

impl Modify for TokenSecurity {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "The admin token (`CREEL_ADMIN_TOKEN`, or the token printed at the first start), the read token (`CREEL_READ_TOKEN`), or the listener token (`CREEL_LISTENER_TOKEN`), which allows only `/listeners`.",
        ));
        if let Some(components) = &mut document.components {
            components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
        }
        document.security = Some(vec![SecurityRequirement::new(TOKEN, [""; 0])]);
    }
}

/// Adds the problems that follow from an operation's input, and the schema of their body.
struct CommonProblems;

impl Modify for CommonProblems {
    fn modify(&self, document: &mut Document) {
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                complete(operation);
                name(operation);
            }
        }
    }
}

fn complete(operation: &mut Operation) {
    let is_in = |parameter: &RefOr<Parameter>, place: &ParameterIn| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == *place,
        RefOr::Ref(_) => false,
    };
    let has_parameter =
        |place: &ParameterIn| operation.parameters.iter().flatten().any(|one| is_in(one, place));
    let needs_token = operation.security.is_none();
    let mut problems = vec![
        ("400", "A value is malformed or unknown; `detail` names it."),
        ("500", "Internal error; the log has the details."),
    ];
    if needs_token {
        problems.push(("401", "The token is missing or wrong."));
        problems.push(("403", "The token does not allow this operation."));
        problems.push(("429", "Too many wrong tokens: retry after the time in `Retry-After`."));
        problems.push((
            "503",
            "The service cannot read or write data now: retry after the time in `Retry-After`.",
        ));
    }
    if has_parameter(&ParameterIn::Path) {
        problems.push(("404", "Not found; it may have been deleted by retention."));
    }
    if has_parameter(&ParameterIn::Query) || operation.request_body.is_some() {
        problems.push(("422", "A value is not allowed; `detail` names it."));
    }
    if operation.request_body.is_some() {
        problems.push(("408", "The body did not arrive in time."));
        problems.push(("413", "The body is too large."));
        problems.push(("415", "The content type is not JSON, or the body is not plain UTF-8."));
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in problems {
        responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(ResponseBuilder::new().description(description).build()));
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && !status.starts_with('2')
        {
            add_problem(status, response);
        }
    }
}

/// Adds the tag to the operation id, because handlers with different tags share short names.
fn name(operation: &mut Operation) {
    let noun = operation.tags.iter().flatten().next();
    if let (Some(noun), Some(id)) = (noun, &operation.operation_id) {
        operation.operation_id = Some(format!("{noun}_{id}"));
    }
}

fn add_problem(status: &str, response: &mut Response) {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    response.content.insert(MEDIA_TYPE.to_owned(), problem.into());
    let header = match status {
        "401" => ("WWW-Authenticate", "`Bearer`."),
        "429" | "503" => ("Retry-After", "Seconds to wait before a retry."),
        _ => return,
    };
    let text = ObjectBuilder::new().schema_type(Type::String);
    let header = (header.0, HeaderBuilder::new().schema(Some(text)).description(Some(header.1)).build());
    response.headers.insert(header.0.to_owned(), header.1.into());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn described() -> Value {
        serde_json::to_value(Api::openapi()).unwrap()
    }

    #[test]
    fn routes_and_described_paths_are_the_same() {
        let routes = include_str!("../routes.rs");
        let routed: BTreeSet<&str> =
            routes.split("at(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let document = described();
        let paths: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(routed, paths);
    }

    #[test]
    fn operation_ids_are_unique() {
        let document = described();
        let items = document["paths"].as_object().unwrap().values();
        let operations = items.flat_map(|item| item.as_object().unwrap().values());
        let names: Vec<&str> = operations.map(|one| one["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        assert!(names.contains(&"messages_list"), "{names:?}");
    }

    /// Each change of the API appears in the diff of the document.
    #[test]
    fn openapi_documents_match_handlers() {
        let expected = serde_json::to_string_pretty(&described()).unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
            std::fs::write(path, &expected).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == expected,
            "docs/openapi.json differs from the handlers; run UPDATE_DOCUMENTS=1 cargo test documents"
        );
    }
}
