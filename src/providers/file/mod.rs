//! Strict parser of recipes: an unknown or invalid field is an error with its name. Recipe files
//! and the variables of a `custom` source share these fields.

mod fetch;
mod fields;
mod handshakes;
mod proofs;
mod replies;
mod tables;
mod words;

use std::time::Duration;

use crate::json::Paths;
use crate::scheme::jwt::ClaimCheck;
use crate::scheme::place::{Place, is_header_name};
use crate::scheme::template::Template;

use super::cloud_event::EventSlots;
use super::recipe::{Coverage, Detail, Facts, JwtRule, Proofs, ProviderGroup, Recipe, SampleBody};
use super::sample;
use super::settings::SettingSpec;
pub(super) use fields::{FieldProblem, problem};
pub(super) use proofs::{DIGEST_WITHOUT_SECRET, MISSING_TIMESTAMP, UNSIGNED_TIMESTAMP};
pub(super) use tables::{
    DEFAULT_TOLERANCE_SECONDS, KeyField, KeyKind, KeySourceTable, KeyTable, OneOrMany, RecipeFile,
    SampleTable, SignatureTable, TimestampTable, TokenTable,
};

/// An error in a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("recipe `{recipe}`: {field}: {problem}")]
pub struct RecipeError {
    pub recipe: String,
    pub field: String,
    pub problem: String,
}

impl Recipe {
    /// Parses a file with one recipe.
    ///
    /// # Errors
    /// The first error, with the field's name.
    pub fn parse(name: &str, text: &str) -> Result<Self, RecipeError> {
        let file: RecipeFile = toml::from_str(text).map_err(|error| RecipeError {
            recipe: name.to_owned(),
            field: "file".to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        Self::from_file(name, file)
    }

    /// Parses all recipes of a file: one with its fields at the top level, or several, each in a
    /// table with its name.
    ///
    /// # Errors
    /// The first error, with recipe and field.
    pub(super) fn parse_file(text: &str, name: &str) -> Result<Vec<Self>, RecipeError> {
        let wrong = |recipe: &str, error: &toml::de::Error| RecipeError {
            recipe: recipe.to_owned(),
            field: "file".to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        };
        let table: toml::Table = toml::from_str(text).map_err(|error| wrong(name, &error))?;
        if table.is_empty() {
            return Err(RecipeError {
                recipe: name.to_owned(),
                field: "file".to_owned(),
                problem: "contains no recipe; write the fields of one recipe, or a table `[name]` for each"
                    .to_owned(),
            });
        }
        let holds_one = table.contains_key("title") || table.values().any(|value| !value.is_table());
        if holds_one {
            return Self::parse(name, text).map(|recipe| vec![recipe]);
        }
        let parse = |(name, fields): (String, toml::Value)| {
            let file: RecipeFile = fields.try_into().map_err(|error| wrong(&name, &error))?;
            Self::from_file(&name, file)
        };
        table.into_iter().map(parse).collect()
    }

    /// Validates the fields of a recipe.
    ///
    /// # Errors
    /// The first error, with the field's name.
    pub(super) fn from_file(name: &str, file: RecipeFile) -> Result<Self, RecipeError> {
        file.into_recipe(name).map_err(|FieldProblem(field, problem)| RecipeError {
            recipe: name.to_owned(),
            field,
            problem,
        })
    }
}

impl RecipeFile {
    fn into_recipe(self, name: &str) -> Result<Recipe, FieldProblem> {
        let mut paths = Paths::default();
        let mut details = |field: &str, places: &Option<OneOrMany>, of: ItemChoice| {
            let texts = places.as_ref().map(OneOrMany::to_vec).unwrap_or_default();
            let alternatives = |text: &String| {
                text.split(" or ")
                    .map(|text| detail(field, text, of, &mut paths))
                    .collect::<Result<Vec<Detail>, FieldProblem>>()
            };
            texts.iter().map(alternatives).collect::<Result<Vec<_>, FieldProblem>>()
        };
        let event_type = details("event_type", &self.event_type, ItemChoice::FirstItem)?;
        let event_action = details("event_action", &self.event_action, ItemChoice::FirstItem)?;
        // If only the first item is signed, the id must come from it: an attacker could change the
        // other items, and a genuine batch would have a new id.
        let signs_first = self.signature.iter().any(|table| table.text.contains("{body:first-item}"));
        let of = if signs_first { ItemChoice::FirstItem } else { ItemChoice::EveryItem };
        let delivery_id = details("delivery_id", &self.delivery_id, of)?;
        let cloud_event = self.cloudevents.then(|| EventSlots::add_to(&mut paths)).transpose();
        let cloud_event = cloud_event.map_err(|error| problem("cloudevents", error))?;
        let proofs = proofs::proofs(&self)?;
        self.check_query_payload(&proofs)?;
        let signed_coverage = self.signed_coverage(&proofs);
        let only_signed = proofs.tokens.is_empty() && !proofs.basic && proofs.confirm.is_none();
        let coverage =
            if only_signed { signed_coverage } else { self.body_coverage.unwrap_or(Coverage::None) };
        let handshakes = handshakes::handshakes(&self.handshake, &self.key, &proofs)?;
        let rejected = replies::rejected(&self.refused, &self.handshake)?;
        let samples = self.sample.iter().map(SampleTable::to_body).collect::<Result<_, _>>();
        let mut samples: Vec<SampleBody> = samples?;
        let fetch = self.fetch.as_ref().map(|table| fetch::fetch_rule(table, &self.key)).transpose()?;
        let facts = self.facts(&proofs);
        facts.check()?;
        if samples.is_empty() {
            samples.push(sample::generated(&facts.event_type, &facts.delivery_id));
        }
        Ok(Recipe {
            name: name.to_owned(),
            group: self.group.unwrap_or(ProviderGroup::Generic),
            tolerance: self
                .timestamp
                .as_ref()
                .map(|table| Duration::from_secs(table.tolerance_seconds))
                .or_else(|| self.token_age()),
            keys: self.key.iter().map(SettingSpec::from).collect(),
            accepted: replies::accepted(&self.accepted)?,
            title: if self.title.is_empty() { name.to_owned() } else { self.title },
            facts,
            proofs,
            paths,
            event_type: event_type.into_iter().flatten().collect(),
            event_action: event_action.into_iter().flatten().collect(),
            events: self.events,
            events_without_action: self.events_without_action,
            actions: self.actions,
            delivery_id,
            methods: methods(self.methods)?,
            form_payload: self.form_payload,
            query_payload: self.query_payload,
            multipart: self.multipart,
            cloud_event,
            coverage,
            signed_coverage,
            requires: self.requires,
            handshakes,
            fetch,
            rejected,
            samples,
        })
    }

    /// Checks that every signature covers a payload in the query.
    fn check_query_payload(&self, proofs: &Proofs) -> Result<(), FieldProblem> {
        let signs_other = proofs.signatures.iter().any(|signature| !signature.scheme.template.has_payload());
        if self.query_payload.is_some() && (signs_other || proofs.code.is_some()) {
            return Err(problem(
                "query_payload",
                "is read as the message, so every signature must cover `{payload}`",
            ));
        }
        Ok(())
    }

    /// Returns the tolerance of a recipe without `[timestamp]`: if it checks the age of a JWT, or
    /// sets `tolerance_seconds`.
    fn token_age(&self) -> Option<Duration> {
        let checks_age = self.jwt.iter().any(|table| table.issued.is_some());
        (checks_age || self.tolerance_seconds.is_some())
            .then(|| Duration::from_secs(self.tolerance_seconds.unwrap_or(DEFAULT_TOLERANCE_SECONDS)))
    }

    /// Returns the coverage that the recipe states; otherwise the coverage of the signed text.
    fn signed_coverage(&self, proofs: &Proofs) -> Coverage {
        let is_in_all = |is_in: &dyn Fn(&Template) -> bool| {
            let is_claimed = |rule: &JwtRule| {
                rule.jwt
                    .claims
                    .iter()
                    .any(|claim| matches!(&claim.must, ClaimCheck::Equal(text) if is_in(text)))
            };
            proofs.signatures.iter().all(|signature| is_in(&signature.scheme.template))
                && proofs.jwts.iter().all(is_claimed)
        };
        let has_proof = !proofs.signatures.is_empty() || !self.jwt.is_empty() || proofs.code.is_some();
        match self.body_coverage {
            Some(coverage) => coverage,
            None if !has_proof => Coverage::None,
            None if is_in_all(&Template::has_body) => Coverage::Full,
            None if is_in_all(&|text| text.has_body() || text.has_content_of_body()) => Coverage::Partial,
            None => Coverage::None,
        }
    }

    fn facts(&self, proofs: &Proofs) -> Facts {
        let places = |places: &Option<OneOrMany>| places.as_ref().map(OneOrMany::to_vec).unwrap_or_default();
        Facts {
            docs: self.docs.clone(),
            source: self.source.clone(),
            registered_at: self.registered_at.clone(),
            answer_within: self.answer_within.clone(),
            retries: self.retries.clone(),
            addresses: self.addresses.clone(),
            rotation: self.rotation.clone(),
            traps: self.traps.clone(),
            unconfirmed: self.unconfirmed.clone(),
            event_type: places(&self.event_type),
            event_action: places(&self.event_action),
            delivery_id: places(&self.delivery_id),
            schemes: words::in_words(self, proofs),
            handshakes: self.handshake.iter().map(words::handshake).collect(),
        }
    }
}

impl Facts {
    /// Checks that `unconfirmed` lists known fields.
    fn check(&self) -> Result<(), FieldProblem> {
        const FIELDS: [&str; 16] = [
            "docs",
            "where",
            "answer_within",
            "retries",
            "addresses",
            "rotation",
            "traps",
            "event_type",
            "event_action",
            "delivery_id",
            "accepted",
            "refused",
            "signature",
            "token",
            "timestamp",
            "handshake",
        ];
        match self.unconfirmed.iter().find(|field| !FIELDS.contains(&field.as_str())) {
            Some(field) => {
                Err(problem("unconfirmed", format!("`{field}` is not one of {}", FIELDS.join(", "))))
            }
            None => Ok(()),
        }
    }
}

impl SampleTable {
    fn to_body(&self) -> Result<SampleBody, FieldProblem> {
        if let Some(name) = self.headers.keys().find(|name| !is_header_name(name)) {
            return Err(problem("sample.headers", format!("`{name}` is not a valid header name")));
        }
        let signed_at = self.signed_at.as_deref().map(Place::parse).transpose();
        Ok(SampleBody {
            event: self.event.clone(),
            is_generated: false,
            id: self.id.clone(),
            body: self.body.clone(),
            content_type: self.content_type.clone(),
            query: self.query.clone(),
            headers: self.headers.clone().into_iter().collect(),
            signed_at: signed_at.map_err(|error| problem("sample.signed_at", error))?,
        })
    }
}

/// The items of a batch that supply a detail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemChoice {
    FirstItem,
    EveryItem,
}

/// Returns the methods in the given order; the default is `POST` alone.
fn methods(given: Vec<String>) -> Result<Vec<String>, FieldProblem> {
    const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    if let Some(unknown) = given.iter().find(|method| !METHODS.contains(&method.as_str())) {
        return Err(problem("methods", format!("`{unknown}` is not one of {}", METHODS.join(", "))));
    }
    Ok(if given.is_empty() { vec!["POST".to_owned()] } else { given })
}

/// Parses the place of a detail. Forms are read as JSON, so `form x` and `json x` are the same
/// place.
fn detail(name: &str, text: &str, of: ItemChoice, paths: &mut Paths) -> Result<Detail, FieldProblem> {
    let place = Place::parse(text).map_err(|error| problem(name, error))?;
    let path = text.trim().split_once(' ').map_or("", |(_, path)| path.trim());
    Ok(match place {
        Place::Header(header) => Detail::Header(header),
        Place::Query(field) => Detail::Query(field),
        Place::Json(_) if path.starts_with('/') => {
            return Err(problem(name, "is a JSON pointer; separate keys with dots, such as `json data.id`"));
        }
        Place::Json(_) | Place::Form(_) => {
            let slot = if of == ItemChoice::EveryItem { paths.add_every(path) } else { paths.add(path) };
            Detail::Json(slot.map_err(|error| problem(name, error))?)
        }
        Place::KeyOf { object, except } => Detail::Json(paths.add_name(object, except)),
        Place::Headers(_) => return Err(problem(name, "must be one header: `headers` reads several")),
    })
}
