//! `_FILTER`: parses conditions on the payload from text, and validates those from JSON.

use crate::config::error::ValueError;
use crate::config::parse::shown;
use crate::json::{Literal, is_number, is_pointer};
use crate::store::{Filter, PayloadCondition};

const MAX_CONDITIONS: usize = 50;
const MAX_VALUES: usize = 200;
const MAX_SHOWN_ERROR: usize = 200;

/// Parses `/ref=refs/heads/main !/deleted`, or JSON if the text begins with `[`.
pub fn parse(text: &str) -> Result<Filter, ValueError> {
    let text = text.trim();
    let filter = if text.starts_with('[') { from_json(text)? } else { Filter(conditions(text)?) };
    check(&filter)?;
    Ok(filter)
}

/// Validates a filter from any input.
pub fn check(filter: &Filter) -> Result<(), ValueError> {
    if filter.0.is_empty() {
        return Err(ValueError::new("has no condition")
            .hint("leave the filter off, or write one like /ref=refs/heads/main"));
    }
    if filter.0.len() > MAX_CONDITIONS {
        return Err(ValueError::new(format!("has more than {MAX_CONDITIONS} conditions")).hint("remove some"));
    }
    filter.0.iter().try_for_each(check_condition)
}

fn check_condition(condition: &PayloadCondition) -> Result<(), ValueError> {
    let pointer = &condition.pointer;
    if !is_pointer(pointer) {
        return Err(ValueError::new(format!("contains the invalid place {}", shown(pointer)))
            .hint("write a JSON pointer like /repository/name (~0 is a ~ in a name, ~1 a /)"));
    }
    let values = condition.among.as_ref().map_or(1, Vec::len);
    if condition.equals.is_none() && condition.among.is_none() && condition.exists.is_none() {
        return Err(ValueError::new(format!("has no condition for {}", shown(pointer)))
            .hint("give it equals, in or exists"));
    }
    if values == 0 {
        return Err(
            ValueError::new(format!("has no value for {}", shown(pointer))).hint("write at least one")
        );
    }
    if values > MAX_VALUES {
        let problem = format!("has more than {MAX_VALUES} values for {}", shown(pointer));
        return Err(ValueError::new(problem).hint("remove some"));
    }
    Ok(())
}

fn from_json(text: &str) -> Result<Filter, ValueError> {
    serde_json::from_str(text).map_err(|error| {
        let shown: String = error.to_string().escape_debug().take(MAX_SHOWN_ERROR).collect();
        ValueError::new(format!(
            "is not a JSON array of conditions like [{{\"pointer\": \"/ref\", \"equals\": \"main\"}}] (or \"in\": […], \"exists\": true): {shown}"
        ))
        .caused_by(error)
    })
}

fn conditions(mut text: &str) -> Result<Vec<PayloadCondition>, ValueError> {
    let mut conditions = Vec::new();
    while !text.is_empty() {
        let (condition, rest) = condition(text)?;
        conditions.push(condition);
        text = rest.trim_start();
    }
    Ok(conditions)
}

/// Returns the first condition and the remaining text.
fn condition(text: &str) -> Result<(PayloadCondition, &str), ValueError> {
    let (is_negated, place) = match text.strip_prefix('!') {
        Some(place) => (true, place),
        None => (false, text),
    };
    if !place.starts_with('/') {
        return Err(ValueError::new(format!("has {} where a condition should begin", shown(text))).hint(
            "write it like /ref=refs/heads/main, /ref or !/deleted, without white space around =, and a value that contains white space in double quotes",
        ));
    }
    let end =
        place.find(|character: char| character == '=' || character.is_whitespace()).unwrap_or(place.len());
    let (pointer, rest) = place.split_at(end);
    if pointer.contains(['!', '<', '>']) {
        let problem = format!("has {}, but conditions support only =, presence and absence", shown(pointer));
        return Err(ValueError::new(problem).hint("a place that contains !, < or > needs the JSON form"));
    }
    let mut condition =
        PayloadCondition { pointer: pointer.to_owned(), equals: None, among: None, exists: None };
    let Some(values) = rest.strip_prefix('=') else {
        condition.exists = Some(!is_negated);
        return Ok((condition, rest));
    };
    if is_negated {
        let problem = format!("has {}, but ! is only for an absent place, like !/deleted", shown(text));
        return Err(ValueError::new(problem).hint("take off the ! or the value"));
    }
    let (mut values, rest) = alternatives(values, pointer)?;
    match values.len() {
        1 => condition.equals = values.pop(),
        _ => condition.among = Some(values),
    }
    Ok((condition, rest))
}

/// Returns the values after the `=`, separated by `|`, and the remaining text.
fn alternatives<'a>(mut text: &'a str, pointer: &str) -> Result<(Vec<Literal>, &'a str), ValueError> {
    let mut values = Vec::new();
    loop {
        let rest = if text.starts_with('"') {
            let (value, rest) = quoted(text, pointer)?;
            values.push(value);
            rest
        } else {
            let end = text
                .find(|character: char| character == '|' || character.is_whitespace())
                .unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            values.extend(bare(word, pointer)?);
            rest
        };
        match rest.strip_prefix('|') {
            Some(next) => text = next,
            None => return Ok((values, rest)),
        }
    }
}

/// Parses a value in double quotes, which is a JSON string and always text.
fn quoted<'a>(text: &'a str, pointer: &str) -> Result<(Literal, &'a str), ValueError> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = stream.next();
    let rest = text.get(stream.byte_offset()..).unwrap_or_default();
    let is_whole = rest.is_empty() || rest.starts_with(|next: char| next == '|' || next.is_whitespace());
    match value {
        Some(Ok(value)) if is_whole => Ok((Literal::of_text(&value), rest)),
        _ => Err(ValueError::new(format!(
            "has a value for {} that begins with a double quote and is not a JSON string",
            shown(pointer)
        ))
        .hint("close it, or write a quote inside it as \\\"")),
    }
}

/// Parses a value without quotes. A number, true, false or null is returned together with its text,
/// so that the filter matches both; any other word is text.
fn bare(word: &str, pointer: &str) -> Result<Vec<Literal>, ValueError> {
    if word.is_empty() {
        return Err(ValueError::new(format!("has no value for {} after = or |", shown(pointer)))
            .hint("write \"\" for the empty text"));
    }
    if word.starts_with('=') {
        return Err(ValueError::new(format!("has two = after {}", shown(pointer)))
            .hint("write one, or the value in double quotes"));
    }
    let is_literal = is_number(word) || ["true", "false", "null"].contains(&word);
    let literal = is_literal.then(|| Literal::parse(word)).flatten();
    Ok(literal.into_iter().chain([Literal::of_text(word)]).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Filter, parse};

    fn as_json(filter: &Filter) -> Value {
        serde_json::to_value(filter).expect("a filter is JSON")
    }

    #[test]
    fn conditions_are_parsed_from_every_usual_spelling() {
        let rows = [
            ("/ref=refs/heads/main", json!([{"pointer": "/ref", "equals": "refs/heads/main"}])),
            ("/a=x|y|z", json!([{"pointer": "/a", "in": ["x", "y", "z"]}])),
            ("/a !/b", json!([{"pointer": "/a", "exists": true}, {"pointer": "/b", "exists": false}])),
            ("/n=1", json!([{"pointer": "/n", "in": [1, "1"]}])),
            ("/n=-1.5e3|x", json!([{"pointer": "/n", "in": [-1500.0, "-1.5e3", "x"]}])),
            ("/draft=false", json!([{"pointer": "/draft", "in": [false, "false"]}])),
            ("/none=null", json!([{"pointer": "/none", "in": [null, "null"]}])),
            ("/n=\"1\"", json!([{"pointer": "/n", "equals": "1"}])),
            ("/n=01", json!([{"pointer": "/n", "equals": "01"}])),
            (
                "/t=\"two words\\n\\u00e4|=\"|b /x",
                json!([{"pointer": "/t", "in": ["two words\nä|=", "b"]}, {"pointer": "/x", "exists": true}]),
            ),
            ("/e=\"\"", json!([{"pointer": "/e", "equals": ""}])),
            ("/url=a?b=c", json!([{"pointer": "/url", "equals": "a?b=c"}])),
            (
                "\n /a~1b=[1]\t/c={} ",
                json!([{"pointer": "/a~1b", "equals": "[1]"}, {"pointer": "/c", "equals": "{}"}]),
            ),
            (r#"[{"pointer": "/a b", "equals": null}]"#, json!([{"pointer": "/a b", "equals": null}])),
        ];
        for (text, expected) in rows {
            let filter = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(as_json(&filter), expected, "{text}");
        }
    }

    #[test]
    fn filter_number_matches_number_and_text() {
        let filter = parse("/n=1").expect("a good filter");
        for (payload, holds) in [("{\"n\":1.0}", true), ("{\"n\":\"1\"}", true), ("{\"n\":2}", false)] {
            assert_eq!(filter.holds(payload), holds, "{payload}");
        }
    }

    #[test]
    fn digits_of_a_number_stay_as_written() {
        for number in ["123456789012345678901234567890", "1e400", "1.10"] {
            let filter = parse(&format!("/n={number}")).expect("a good filter");
            assert!(filter.holds(&format!("{{\"n\":{number}}}")));
            assert!(filter.holds(&format!("{{\"n\":\"{number}\"}}")));
            assert!(!filter.holds(&format!("{{\"n\":1{number}}}")));
        }
    }

    #[test]
    fn invalid_condition_error_shows_valid_syntax() {
        let rows = [
            ("ref=main", "where a condition should begin"),
            ("/a = b", "without white space around ="),
            ("/a=b c", "where a condition should begin"),
            ("/a=", "no value"),
            ("/a=x|", "no value"),
            ("/a==b", "two ="),
            ("/a!=b", "support only ="),
            ("/n>5", "support only ="),
            ("!/a=b", "! is only for"),
            ("!a", "where a condition should begin"),
            ("/a=\"open", "begins with a double quote"),
            ("/a=\"x\"y", "begins with a double quote"),
            ("/a~2", "JSON pointer"),
            ("[]", "no condition"),
            ("[1]", "not a JSON array"),
            (r#"[{"pointer": "/a", "equal": 1}]"#, "unknown field"),
            (r#"[{"pointer": "/a"}]"#, "has no condition for"),
            (r#"[{"pointer": "a", "exists": true}]"#, "JSON pointer"),
            (r#"[{"pointer": "/a", "in": []}]"#, "no value"),
            (r#"[{"pointer": "/a", "equals": 1}"#, "not a JSON array"),
        ];
        for (text, part) in rows {
            let problem = parse(text).expect_err(text).to_string();
            assert!(problem.contains(part), "{text}: {problem}");
        }
        assert!(parse(&"/a ".repeat(51)).expect_err("too many").to_string().contains("more than 50"));
        assert!(
            parse(&format!("/a=x{}", "|x".repeat(200)))
                .expect_err("too many")
                .to_string()
                .contains("more than 200")
        );
    }
}
