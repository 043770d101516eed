//! What creel knows about the senders of webhooks: one recipe each, bound to a source's settings.
//! No I/O in here: a request, the settings and the time go in; a verdict, a description and a reply come out.

mod bind;
mod catalogue;
mod describe;
mod recipe;
mod recipe_file;
mod reply;
mod sample;
mod settings;
mod verifier;

pub use crate::verify::json::{self, Extracted};
pub use crate::verify::request::{Cause, Headers, Request, Secret};
pub use catalogue::{recipe, recipes};
pub use describe::Description;
pub use recipe::Recipe;
pub use recipe_file::RecipeError;
pub use reply::Reply;
pub use sample::Sample;
pub use settings::{Key, SettingError, Settings};
pub use verifier::Verifier;

#[cfg(test)]
mod tests;
