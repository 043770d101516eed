//! Conditions on a request: `PLACE`, `no PLACE`, `PLACE = text`, `PLACE = setting NAME`, `PLACE in
//! setting NAME`.

use subtle::ConstantTimeEq;

use super::error::SyntaxError;
use super::place::Place;
use crate::content::request::Cause;
use crate::content::view::{Texts, View};

/// A condition on a request.
#[derive(Clone, Debug)]
pub struct RequestCondition {
    place: Place,
    wants: ExpectedValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ExpectedValue {
    Something,
    Nothing,
    Text(String),
    /// One of the setting's values; compared in constant time, since it may be a shared token.
    Setting(String),
}

impl RequestCondition {
    /// Parses a condition.
    ///
    /// # Errors
    /// The problem with the text.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let setting = |name: &str| ExpectedValue::Setting(name.trim().to_owned());
        let (place, wants) = if let Some(place) = text.strip_prefix("no ") {
            (place, ExpectedValue::Nothing)
        } else if let Some((place, name)) =
            text.split_once(" = setting ").or_else(|| text.split_once(" in setting "))
        {
            (place, setting(name))
        } else if let Some((place, literal)) = text.split_once(" = ") {
            (place, ExpectedValue::Text(literal.to_owned()))
        } else {
            (text, ExpectedValue::Something)
        };
        Ok(Self { place: Place::parse(place)?, wants })
    }

    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The setting that the value is compared with.
    pub fn setting(&self) -> Option<&str> {
        match &self.wants {
            ExpectedValue::Setting(name) => Some(name),
            _ => None,
        }
    }

    /// The text that the value is compared with.
    pub fn literal(&self) -> Option<&str> {
        match &self.wants {
            ExpectedValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the request meets the condition.
    ///
    /// # Errors
    /// See `Place::find`.
    pub fn holds(&self, view: &View<'_>, texts: &Texts) -> Result<bool, Cause> {
        Ok(match &self.wants {
            ExpectedValue::Something => self.place.is_filled(view)?,
            ExpectedValue::Nothing => !self.place.is_filled(view)?,
            ExpectedValue::Text(text) => {
                self.place.find(view)?.is_some_and(|found| *found == *text.as_bytes())
            }
            ExpectedValue::Setting(name) => {
                let is_equal =
                    |found: &[u8]| texts.all(name).iter().any(|value| value.expose().ct_eq(found).into());
                self.place.find(view)?.is_some_and(|found| is_equal(&found))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::content::request::{Headers, Request};

    fn holds(condition: &str, body: &str) -> bool {
        let request = Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(&[]),
            body: body.as_bytes(),
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let condition = RequestCondition::parse(condition).unwrap();
        condition.holds(&View::new(&request, None), &Texts::default()).unwrap()
    }

    #[test]
    fn object_is_a_value_and_null_is_not() {
        for body in
            [r#"{"event":{}}"#, r#"{"event":[]}"#, r#"{"event":"x"}"#, r#"{"event":0}"#, r#"{"event":false}"#]
        {
            assert!(holds("json event", body) && !holds("no json event", body), "{body}");
        }
        for body in ["{}", r#"{"event":null}"#, r#"{"event":""}"#, "not JSON"] {
            assert!(!holds("json event", body) && holds("no json event", body), "{body}");
        }
        assert!(holds("json type = 1", r#"{"type":1}"#) && !holds("json type = 1", r#"{"type":11}"#));
    }
}
