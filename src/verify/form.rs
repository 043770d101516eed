//! `application/x-www-form-urlencoded` bodies as JSON.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Serialize, Serializer};

use super::json;

/// The form as the text of a JSON object: fields in the order of their first appearance, repeats as arrays,
/// bytes that are not UTF-8 replaced. A form whose only field is `unwrap` and holds JSON becomes that JSON.
pub fn to_json(body: &[u8], unwrap: Option<&str>) -> String {
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(body) {
        fields.push(name, value);
    }
    match fields.into_sole_value(unwrap) {
        Ok(payload) => payload,
        Err(fields) => serde_json::to_string(&fields).expect("text keys and text values always serialize"),
    }
}

#[derive(Default)]
struct Fields<'a> {
    values: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>,
    places: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Fields<'a> {
    fn push(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            self.values.push((name, Vec::with_capacity(1)));
            self.values.len() - 1
        });
        self.values[place].1.push(value);
    }

    fn into_sole_value(self, unwrap: Option<&str>) -> Result<String, Self> {
        match self.values.as_slice() {
            [(name, values)]
                if Some(name.as_ref()) == unwrap
                    && values.len() == 1
                    && json::accepts(values[0].as_bytes()) =>
            {
                Ok(values[0].clone().into_owned())
            }
            _ => Err(self),
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(name, values)| (name, OneOrMany(values))))
    }
}

struct OneOrMany<'a>(&'a [Cow<'a, str>]);

impl Serialize for OneOrMany<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [value] => serializer.serialize_str(value),
            values => serializer.collect_seq(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_an_object_with_repeats_as_arrays() {
        let rows = [
            ("", "{}"),
            ("b=1&a=2", r#"{"b":"1","a":"2"}"#),
            ("a=1&b=x+y%21&a=2", r#"{"a":["1","2"],"b":"x y!"}"#),
            ("a", r#"{"a":""}"#),
            ("a=%00%22%zz", "{\"a\":\"\\u0000\\\"%zz\"}"),
            ("a=%FF", "{\"a\":\"\u{fffd}\"}"),
            ("payload=%7B%7D", r#"{"payload":"{}"}"#),
        ];
        for (form, json) in rows {
            assert_eq!(to_json(form.as_bytes(), None), json, "{form}");
        }
    }

    #[test]
    fn only_a_sole_field_that_holds_json_is_unwrapped() {
        let rows = [
            ("payload=%7B%22action%22%3A+%22opened%22%7D", r#"{"action": "opened"}"#),
            ("payload=%7B", r#"{"payload":"{"}"#),
            ("payload=%7B%7D&payload=%7B%7D", r#"{"payload":["{}","{}"]}"#),
            ("payload=%7B%7D&a=1", r#"{"payload":"{}","a":"1"}"#),
            ("a=%7B%7D", r#"{"a":"{}"}"#),
        ];
        for (form, json) in rows {
            assert_eq!(to_json(form.as_bytes(), Some("payload")), json, "{form}");
        }
    }
}
