//! What creel knows about the senders of webhooks: one recipe each, bound to a source's settings.
//! No I/O in here: a request, the settings and the time go in; a verdict, a description and a reply come out.

mod aliases;
mod ambiguity;
mod bind;
mod catalogue;
mod challenge;
mod cloud_event;
mod code;
mod confirm;
mod custom;
mod describe;
mod fetch;
mod file;
mod handshake;
mod headers;
mod known;
mod nearest;
mod page;
mod recipe;
mod reply;
mod sample;
mod settings;
mod verifier;

pub use crate::json::{self, Extracted};
pub use crate::verify::body;
pub use crate::verify::certificate::Roots;
pub use crate::verify::charset::{self, CharsetProblem};
pub use crate::verify::coding::{AtMost, Coding, CodingProblem, Room, codings, decode};
pub use crate::verify::form::FormProblem;
pub use crate::verify::outside::{Answer, Outside, Unproven, Wanted};
pub use crate::verify::request::{Cause, Headers, Request, Secret};
pub use aliases::{Alias, alias, aliases};
pub use catalogue::{BUILTIN_SETTINGS, CUSTOM, add_file, added_recipes, is_builtin, recipe, recipes};
pub use confirm::{Asker, Judgement, Login, OwnQuestion, Question, Unaskable};
pub use custom::{CUSTOM_FIELDS, CustomField, custom_recipe, custom_variable};
pub use describe::Description;
pub use fetch::{Call, Plan, key_of_set};
pub use file::RecipeError;
pub use handshake::{First, Handshake, Learning, Moment};
pub use known::UnknownEvent;
pub use nearest::provider_advice;
pub use page::{coverage_in_words, custom_page, group_name, index, page, page_of_alias};
pub use recipe::{Coverage, Facts, Group, Recipe};
pub use reply::Reply;
pub use sample::{Sample, Wish};
pub use settings::{Key, Kind, SettingError, Settings};
pub use verifier::{NothingOutside, Verifier};

#[cfg(test)]
mod tests;
