//! The routes of webhooks: `/webhooks/{source}` and `/webhooks/{source}/{path}`.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::web;

use crate::ingest::receive::receive;
use crate::ingest::webhooks::{Mount, Webhooks};
use crate::request_id::RequestId;

/// Mounts an endpoint for each source.
pub fn mount(config: &mut web::ServiceConfig, webhooks: &Arc<Webhooks>) {
    for endpoint in &webhooks.endpoints {
        let source = &endpoint.source;
        // These patterns match only approximately: the handler compares the path as sent, in
        // constant time.
        let patterns = if source.has_path_part() {
            vec![format!("{}/{{path:.*}}", source.path())]
        } else {
            vec![source.path().to_owned(), format!("{}/", source.path())]
        };
        let mount = Rc::new(Mount { endpoint: Arc::clone(endpoint), webhooks: Arc::clone(webhooks) });
        for pattern in patterns {
            let mount = mount.clone();
            let handler =
                move |request, payload| RequestId::next().scope(receive(mount.clone(), request, payload));
            config.service(web::resource(pattern).to(handler));
        }
    }
}
