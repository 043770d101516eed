//! The text that is signed, as a template: `{id}.{ts}.{body}`. Parsed once, then fed piece by piece
//! into the digest, so that no copy of the body is made.

use super::request::{Cause, Request};

/// A parsed template; has at least one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Body,
    Timestamp,
    /// In lower case.
    Header(String),
}

impl Template {
    /// Placeholders are `{body}`, `{ts}` (the timestamp exactly as sent) and `{header:Name}`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '}']) {
            let (literal, placeholder) = rest.split_at(start);
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let (name, after) = placeholder
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or_else(|| format!("`{text}` has a brace without its partner"))?;
            parts.push(match (name, name.strip_prefix("header:")) {
                ("body", _) => Part::Body,
                ("ts", _) => Part::Timestamp,
                (_, Some(header)) if !header.is_empty() => Part::Header(header.to_ascii_lowercase()),
                _ => {
                    return Err(format!(
                        "`{{{name}}}` is not known; there are {{body}}, {{ts}} and {{header:Name}}"
                    ));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        if parts.is_empty() { Err("is empty".to_owned()) } else { Ok(Self(parts)) }
    }

    pub fn has_body(&self) -> bool {
        self.0.contains(&Part::Body)
    }

    pub fn has_timestamp(&self) -> bool {
        self.0.contains(&Part::Timestamp)
    }

    /// Whether the signed text is the body and nothing else.
    pub fn is_body_alone(&self) -> bool {
        self.0 == [Part::Body]
    }

    /// Names of the header fields whose values are signed, in lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Header(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Gives the signed text to `sink`, piece by piece.
    ///
    /// # Errors
    /// A signed header or timestamp that is absent, or a header that appears twice.
    pub fn feed(
        &self,
        request: &Request<'_>,
        timestamp: Option<&[u8]>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), Cause> {
        for part in &self.0 {
            match part {
                Part::Literal(text) => sink(text.as_bytes()),
                Part::Body => sink(request.body),
                Part::Timestamp => sink(timestamp.ok_or(Cause::MissingHeader)?),
                Part::Header(name) => sink(request.headers.single(name)?.ok_or(Cause::MissingHeader)?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_literals_and_placeholders() {
        let template = Template::parse("v0:{header:X-Id}.{ts}.{body}]").unwrap();
        let expected = [
            Part::Literal("v0:".into()),
            Part::Header("x-id".into()),
            Part::Literal(".".into()),
            Part::Timestamp,
            Part::Literal(".".into()),
            Part::Body,
            Part::Literal("]".into()),
        ];
        assert_eq!(template.0, expected);
        assert!(template.has_body() && template.has_timestamp() && !template.is_body_alone());
        assert!(Template::parse("{body}").unwrap().is_body_alone());
    }

    #[test]
    fn a_template_that_cannot_be_read_says_why() {
        for (text, problem) in [
            ("", "is empty"),
            ("{body", "without its partner"),
            ("body}", "without its partner"),
            ("{bdy}", "`{bdy}` is not known"),
            ("{header:}", "`{header:}` is not known"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
