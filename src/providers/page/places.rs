//! The places of an event type or delivery id, as a provider's page shows them.

use super::text::joined;

/// Describes the places of one value, of which the first one with a value counts.
pub fn alternatives<'a>(places: impl IntoIterator<Item = &'a String>) -> String {
    let places: Vec<String> =
        places.into_iter().flat_map(|text| text.split(" or ")).map(|place| in_words(place.trim())).collect();
    joined(&places, "or")
}

/// Describes the places of a value with several parts, all of which are required.
pub fn parts(places: &[String]) -> String {
    let has_choice = places.iter().any(|text| text.contains(" or "));
    let parts: Vec<String> = places.iter().map(|text| alternatives([text])).collect();
    // The comma separates the parts from the alternatives.
    if has_choice { parts.join(", and ") } else { joined(&parts, "and") }
}

fn in_words(place: &str) -> String {
    let Some(rest) = place.strip_prefix("key-of ") else { return format!("`{place}`") };
    let (object, except) = rest.split_once(" except ").unwrap_or((rest, ""));
    let object = if object == "." { "the body".to_owned() } else { format!("`{object}`") };
    let except: Vec<String> = except.split_whitespace().map(|name| format!("`{name}`")).collect();
    let other =
        if except.is_empty() { String::new() } else { format!(" other than {}", joined(&except, "or")) };
    format!("the first key of {object}{other}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_and_parts_are_distinguishable() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(alternatives(&texts(&["json a or json b", "form c"])), "`json a`, `json b` or `form c`");
        assert_eq!(parts(&texts(&["json a", "json b", "json c"])), "`json a`, `json b` and `json c`");
        assert_eq!(parts(&texts(&["json a or json b", "json c"])), "`json a` or `json b`, and `json c`");
    }

    #[test]
    fn key_of_object_is_described_in_words() {
        assert_eq!(in_words("key-of ."), "the first key of the body");
        assert_eq!(in_words("key-of a.b except c d"), "the first key of `a.b` other than `c` or `d`");
    }
}
