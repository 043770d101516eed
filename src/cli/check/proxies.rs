//! Warnings about request headers that proxies drop.

use crate::config::SourceConfig;

/// Returns a warning for each header of the source that common proxies drop silently.
pub fn dropped_headers(source: &SourceConfig) -> Vec<String> {
    let mut names = source.verifier.header_names();
    names.extend(source.confirm.iter().flat_map(|confirm| confirm.api.header_names()));
    let warning = |name: &String| Some(format!("source {}: {}", source.name, problem(name)?));
    names.iter().filter_map(warning).collect()
}

/// Returns the problem with a header name; `None` if all common proxies forward it.
fn problem(name: &str) -> Option<String> {
    let plain = name.strip_suffix('*').unwrap_or(name);
    let odd = plain.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
    let advice = match odd {
        None if plain.contains('_') => format!(
            "nginx and Caddy (2.11 and later) drop the header {name}, because it has `_` in its name; nginx needs \
             `underscores_in_headers on;`, Caddy `servers {{ expected_underscore_headers {name} }}` in its global options"
        ),
        None => return None,
        Some(_) if plain.contains('.') => format!(
            "nginx and Caddy (2.11 and later) drop the header {name}, because it has `.` in its name; nginx needs \
             `ignore_invalid_headers off;`, and no setting of Caddy lets it pass"
        ),
        Some(sign) if plain.contains('_') => format!(
            "nginx drops the header {name}, because it has `{sign}` in its name, and Caddy (2.11 and later), because it has `_`; \
             nginx needs `ignore_invalid_headers off;`, Caddy `servers {{ expected_underscore_headers {name} }}` in its global options"
        ),
        Some(sign) => format!(
            "nginx drops the header {name}, because it has `{sign}` in its name; nginx needs `ignore_invalid_headers off;`"
        ),
    };
    Some(format!("{advice} (docs/proxies.md)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_with_odd_name_gets_its_proxy_lines() {
        let rows: [(&str, &[&str]); 8] = [
            ("x-hub-signature-256", &[]),
            ("x-acme-*", &[]),
            ("x_hook_token", &["underscores_in_headers on;", "expected_underscore_headers x_hook_token"]),
            ("x_acme_*", &["underscores_in_headers on;"]),
            ("x.token", &["`.`", "ignore_invalid_headers off;", "no setting of Caddy"]),
            ("x_hook.token", &["`.`", "no setting of Caddy"]),
            ("x_a+b", &["`+`", "ignore_invalid_headers off;", "expected_underscore_headers x_a+b"]),
            ("x+token", &["`+`", "ignore_invalid_headers off;"]),
        ];
        for (name, parts) in rows {
            let found = problem(name).unwrap_or_default();
            assert_eq!(found.is_empty(), parts.is_empty(), "{found}");
            for part in parts {
                assert!(found.contains(part) && found.contains(name), "{part}: {found}");
            }
        }
    }
}
