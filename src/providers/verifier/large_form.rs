//! What is read of a form that is too large to be converted to JSON.

use super::Verifier;
use crate::content::coding::codings;
use crate::content::form::{self, FormProblem};
use crate::content::request::Request;
use crate::content::short_fields;
use crate::json::PathValues;

impl Verifier {
    /// What the recipe reads from the short fields of a form that is too large for `form_to_json`.
    pub(super) fn short_fields(&self, request: &Request<'_>) -> Option<PathValues> {
        let is_too_large = || self.form_to_json(request) == Err(FormProblem::TooLarge);
        let is_coded = || codings(request.headers) != Ok(Vec::new());
        if request.body.len() <= form::MAX_JSON_BYTES || is_coded() || !is_too_large() {
            return None;
        }
        let kind = form::kind(request.headers)?;
        self.read_json(short_fields::to_json(request.body, kind)?.as_bytes())
    }
}
