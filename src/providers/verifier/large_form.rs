//! Reads values from a form that cannot be converted to JSON.

use super::Verifier;
use crate::content::charset;
use crate::content::form::{self, FormProblem};
use crate::content::request::Request;
use crate::content::short_fields;
use crate::json::PathValues;

impl Verifier {
    /// Reads the recipe's values from a form that `form_to_json` rejected, if their fields are
    /// short and have no invalid bytes. `request` is without content codings.
    pub fn short_fields(&self, request: &Request<'_>, problem: FormProblem) -> Option<PathValues> {
        if !matches!(problem, FormProblem::TooLarge | FormProblem::MalformedText) {
            return None;
        }
        let kind = form::kind(request.headers)?;
        let declared = charset::declared(request.headers).ok().flatten();
        let fields =
            short_fields::to_json(request.body, kind, declared, self.recipe.form_payload.as_deref())?;
        self.read_json(fields.as_bytes())
    }
}
