//! Tests that the signed text of each recipe matches only one request.

use super::super::{Recipe, recipes};

/// Recipes whose signed text can be split in more than one way, with the reason.
const BY_DESIGN: [(&str, &str); 1] =
    [("mandrill", "the URL and the name and value of the form field are joined without a separator")];

#[test]
fn signed_text_of_each_recipe_fits_one_request() {
    let mut wrong = Vec::new();
    for recipe in recipes() {
        let found = recipe.ambiguities();
        let is_known = BY_DESIGN.iter().any(|(name, _)| *name == recipe.name());
        if found.is_empty() == is_known {
            wrong.push(format!("{}: {found:#?}", recipe.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the ambiguities of a recipe with these signatures.
fn planted(signatures: &[(&str, &str)]) -> Vec<String> {
    let table = |(algorithm, text): &(&str, &str)| {
        format!(
            "[[signature]]\nat = \"header X-Sig\"\nencoding = \"hex\"\nalgorithm = \"{algorithm}\"\nkey = \"secret\"\ntext = \"{text}\"\n"
        )
    };
    let tables: String = signatures.iter().map(table).collect();
    let key = "[[key]]\nname = \"secret\"\nkind = \"secret\"\nrequired = true\ndoc = \"x\"\n";
    Recipe::parse("planted", &format!("title = \"Planted\"\n{key}{tables}")).unwrap().ambiguities()
}

#[test]
fn planted_ambiguity_is_found() {
    const HMAC: &str = "hmac-sha256";
    for (signatures, problem) in [
        (&[(HMAC, "{header:X-Id}{body}")][..], "between header x-id and the body"),
        (&[("sha256", "{secret}{body}")], "extended without the secret"),
        (&[(HMAC, "{header:X-Id}.{body}"), (HMAC, "{body}")], "use the same key"),
    ] {
        let found = planted(signatures);
        assert!(found.len() == 1 && found[0].contains(problem), "{signatures:?}: {found:?}");
    }
    for signatures in [
        &[(HMAC, "{header:X-Id}.{body}")][..],
        &[("sha256", "{secret}{body:structured}")],
        &[(HMAC, "{header:X-Id}.{body}"), (HMAC, "{body:structured}")],
    ] {
        assert_eq!(planted(signatures), Vec::<String>::new(), "{signatures:?}");
    }
}
