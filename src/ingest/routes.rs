//! The routes of webhooks: `/webhooks/{source}` and `/webhooks/{source}/{path}`.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpRequest, guard, web};

use crate::ingest::receive::receive;
use crate::ingest::webhooks::{Mount, Webhooks};
use crate::request_id::RequestId;

const PREFIX: &str = "/webhooks/";

/// Mounts the endpoints of all sources as one route, because actix compares a path with each route
/// in turn.
pub fn mount(config: &mut web::ServiceConfig, webhooks: &Arc<Webhooks>) {
    let mut mounts: HashMap<String, Rc<Mount>> = HashMap::new();
    for endpoint in &webhooks.endpoints {
        let mount = Mount { endpoint: Arc::clone(endpoint), webhooks: Arc::clone(webhooks) };
        mounts.insert(endpoint.source.path().to_owned(), Rc::new(mount));
    }
    let Some(any) = mounts.values().next().cloned() else { return };
    let mounts = Rc::new(mounts);
    let known = Rc::clone(&mounts);
    let is_source =
        guard::fn_guard(move |context| known.contains_key(source_path(context.head().uri.path())));
    let handler = move |request: HttpRequest, payload: web::Payload| {
        // The guard has found the source. Any other one would reject the path too.
        let mount = mounts.get(source_path(request.uri().path())).unwrap_or(&any);
        RequestId::next().scope(receive(Rc::clone(mount), request, payload))
    };
    // A scope has a literal prefix. actix turns the pattern of a resource into a regular
    // expression, which takes about 1 µs for each request.
    config.service(web::scope("/webhooks").guard(is_source).default_service(web::to(handler)));
}

/// Returns the part of a path that belongs to a source. The handler compares the rest, in constant
/// time.
fn source_path(path: &str) -> &str {
    let name = path.strip_prefix(PREFIX).unwrap_or_default();
    let name_bytes = name.find('/').unwrap_or(name.len());
    &path[..path.len() - name.len() + name_bytes]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_path_ends_before_the_random_part() {
        for (path, expected) in [
            ("/webhooks/shop", "/webhooks/shop"),
            ("/webhooks/shop/", "/webhooks/shop"),
            ("/webhooks/shop/a/b", "/webhooks/shop"),
            ("/webhooks/", "/webhooks/"),
            ("/webhooks//shop", "/webhooks/"),
            ("/webhooksx", "/webhooksx"),
        ] {
            assert_eq!(source_path(path), expected);
        }
    }
}
