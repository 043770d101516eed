//! Requests that are not messages and need an answer: challenges, probes, subscription
//! confirmations.

use crate::content::request::Secret;
use crate::content::view::View;
use crate::scheme::key::{SecretKey, plain_digest};
use crate::scheme::key_store::is_pinned;
use crate::scheme::shape::host_matches;
use crate::scheme::template::TemplateScope;

use super::recipe::{AnswerRule, HandshakeBody, HandshakeRule};
use super::reply::Reply;
use super::verifier::Verifier;
use crate::content::request::Cause;
use crate::content::request::Request;

/// Maximum size of a handshake, so that reading a request twice takes little time. A larger request
/// is treated as a message.
const MAX_HANDSHAKE_BYTES: usize = 64 << 10;
/// Maximum size of a secret, longer than any provider's.
const MAX_SECRET_BYTES: usize = 512;

/// The answer to a handshake, and the step before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    pub reply: Reply,
    pub first: HandshakeAction,
}

/// A step that must succeed before the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeAction {
    Nothing,
    /// Store this secret.
    Learn(Secret),
    /// Request this URL.
    Visit(String),
}

/// Whether a secret in a handshake is accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearningWindow {
    Closed,
    Open,
}

/// Whether a request is checked for a handshake before or after its authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakePhase {
    BeforeAuthentication,
    AfterAuthentication,
}

impl Verifier {
    /// Returns the answer to a handshake; `None` if the request is not a handshake.
    ///
    /// # Errors
    /// The cause of the rejection of a handshake.
    pub fn handshake(
        &self,
        request: &Request<'_>,
        moment: HandshakePhase,
        learning: LearningWindow,
    ) -> Option<Result<Handshake, Cause>> {
        if self.recipe.handshakes.is_empty() || request.body.len() > MAX_HANDSHAKE_BYTES {
            return None;
        }
        let view = self.view(request).decoding_at_most(MAX_HANDSHAKE_BYTES);
        let is_authenticated = moment == HandshakePhase::AfterAuthentication;
        let rule = self.recipe.handshakes.iter().find(|rule| {
            rule.signed == is_authenticated
                && rule.method == request.method
                && rule.when.iter().all(|condition| condition.holds(&view, &self.texts) == Ok(true))
        })?;
        Some(self.answer(rule, &view, learning))
    }

    fn answer(
        &self,
        rule: &HandshakeRule,
        view: &View<'_>,
        learning: LearningWindow,
    ) -> Result<Handshake, Cause> {
        for condition in &rule.check {
            if !condition.holds(view, &self.texts)? {
                return Err(Cause::HandshakeRefused);
            }
        }
        let first = self.first(rule, view, learning)?;
        if let Some(challenge) = &rule.challenge
            && !rule.challenge_shape.fits(&challenge.require(view)?)
        {
            // Without this check, an attacker could have any text signed, and send it as a message.
            return Err(Cause::HandshakeRefused);
        }
        let answer = rule.answer.as_ref().map(|answer| self.signed_answer(answer, view)).transpose()?;
        let scope = TemplateScope { answer: answer.as_deref(), ..TemplateScope::new(view, &self.texts) };
        let status = rule.reply.status;
        let mut reply = match &rule.reply.body {
            HandshakeBody::Empty => Reply::empty(status),
            HandshakeBody::Text(template) => {
                let text =
                    String::from_utf8(template.render(&scope)?).map_err(|_| Cause::HandshakeRefused)?;
                Reply::text(status, text)
            }
            HandshakeBody::Json(template) => Reply::json(status, template.render_json(&scope)?),
        };
        for (name, template) in &rule.reply.headers {
            // A header whose setting or place is absent is omitted: without the value, it could
            // grant a permission that was not requested.
            if let Ok(value) = template.render(&scope) {
                let is_visible = |byte: &u8| (b' '..=b'~').contains(byte);
                let value =
                    String::from_utf8(value).ok().filter(|text| text.as_bytes().iter().all(is_visible));
                reply.headers.push((name.clone(), value.ok_or(Cause::HandshakeRefused)?));
            }
        }
        Ok(Handshake { reply, first })
    }

    fn first(
        &self,
        rule: &HandshakeRule,
        view: &View<'_>,
        learning: LearningWindow,
    ) -> Result<HandshakeAction, Cause> {
        if let Some(place) = &rule.learn {
            let secret = place.require(view)?;
            if learning == LearningWindow::Closed || secret.len() > MAX_SECRET_BYTES {
                return Err(Cause::HandshakeRefused);
            }
            return Ok(HandshakeAction::Learn(Secret::new(secret.into_owned())));
        }
        if let Some(place) = &rule.visit {
            let url =
                String::from_utf8(place.require(view)?.into_owned()).map_err(|_| Cause::HandshakeRefused)?;
            if !is_pinned(&url, |host| rule.visit_hosts.iter().any(|pattern| host_matches(pattern, host))) {
                return Err(Cause::HandshakeRefused);
            }
            return Ok(HandshakeAction::Visit(url));
        }
        Ok(HandshakeAction::Nothing)
    }

    fn signed_answer(&self, rule: &AnswerRule, view: &View<'_>) -> Result<String, Cause> {
        let scope = TemplateScope::new(view, &self.texts);
        let tag = match &rule.key {
            Some((setting, derivation)) => {
                let secret = self.settings.all(setting).first().ok_or(Cause::HandshakeRefused)?;
                let key = SecretKey::new(rule.algorithm, derivation, secret.expose());
                key.map_err(|_| Cause::HandshakeRefused)?.sign(&rule.text, &scope)?
            }
            None => {
                let algorithm = rule.algorithm.digest().ok_or(Cause::HandshakeRefused)?;
                plain_digest(algorithm, &rule.text, &scope)?
            }
        };
        Ok(rule.encoding.encode(tag.as_ref()))
    }
}
