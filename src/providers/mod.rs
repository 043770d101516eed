//! Providers: one recipe each, bound to the settings of a source. Without I/O: a request, settings
//! and the time result in a verdict, a description and a reply.

mod aliases;
mod ambiguity;
mod bind;
mod catalogue;
mod cloud_event;
mod code;
mod confirm;
mod custom;
mod describe;
mod draft;
mod explain;
mod fetch;
mod file;
mod handshake;
mod headers;
mod joined_id;
mod known;
mod nearest;
mod page;
mod recipe;
mod reply;
mod sample;
mod settings;
mod verifier;

pub use crate::content::body;
pub use crate::content::charset::{self, CharsetProblem};
pub use crate::content::coding::{ByteLimit, CodingProblem, DecodeBudget, codings, decode};
pub use crate::content::form::FormProblem;
pub use crate::content::request::{Cause, Headers, Request, Secret};
pub(crate) use crate::json;
pub use crate::scheme::certificate::Roots;
pub use crate::scheme::error::SyntaxError;
pub use crate::scheme::key_store::{KeyRequest, KeyResponse, KeyStore, VerifyError};
pub use crate::scheme::trace::SignaturePrefix;
pub use aliases::{Alias, alias, aliases};
pub use catalogue::{BUILTIN_SETTINGS, CUSTOM, add_file, added_recipes, is_builtin, recipe, recipes};
pub use confirm::{ConfirmApi, ConfirmQuery, ConfirmResult, ConfirmSettings, Login};
pub use custom::{CUSTOM_FIELDS, custom_recipe, custom_variable};
pub use describe::Description;
pub use explain::{Diagnosis, OtherSource, RejectedRequest, TextExcerpt, TrialOutcome, TrialResult, explain};
pub use fetch::{FetchRequest, key_of_set};
pub use handshake::{Handshake, HandshakeAction, HandshakePhase, LearningWindow};
pub use nearest::provider_advice;
#[cfg(test)]
pub use page::index;
pub use page::{custom_page, group_name, page, page_of_alias, source_variable};
pub use recipe::{Coverage, ProviderGroup, Recipe};
pub use reply::Reply;
pub use sample::{Sample, SampleOptions};
pub use settings::{SettingError, SettingKind, SettingSpec, Settings};
pub use verifier::{EmptyKeyStore, Verifier};

#[cfg(test)]
mod tests;
