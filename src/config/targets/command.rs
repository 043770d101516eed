//! `_EXEC`: splits a command line into a program and its arguments. Commands run without a shell,
//! so unquoted operators, line breaks, `$` and backquotes are rejected instead of passed to the
//! program. Patterns such as `*` are passed unchanged.

use crate::config::error::ValueError;

/// Splits a command line without expansion: `git -C "/srv/my app" pull` has four words.
pub fn split(text: &str) -> Result<Vec<String>, ValueError> {
    let text = text.trim();
    let words = shlex::split(text).ok_or_else(|| {
        ValueError::new("has a quote that is not closed, or ends in a backslash")
            .hint("close the quote or remove the backslash")
    })?;
    if words.first().is_none_or(String::is_empty) {
        return Err(ValueError::new("names no program").hint("write it like /usr/local/bin/deploy --quiet"));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(
            ValueError::new("contains a NUL character, which arguments cannot contain").hint("remove it")
        );
    }
    // With `sh -c "…"`, the named shell expands the text in double quotes.
    let is_for_a_shell = words.get(1).is_some_and(|word| word.starts_with('-') && word.ends_with('c'));
    match for_a_shell(text, is_for_a_shell) {
        Some(found) => {
            let found = if found == '\n' { "a line break".to_owned() } else { format!("a {found}") };
            let problem = format!(
                "contains {found}, which only a shell interprets, but the command runs without a shell: \
                 name a script, or sh -c '…'"
            );
            Err(ValueError::new(problem).hint("put it into single quotes if it is meant literally"))
        }
        None => Ok(words),
    }
}

/// Returns the first character with a meaning for a shell: an operator or a line break outside
/// quotes, or a `$` or a backquote outside single quotes. `skip_double_quotes`: ignores `$` and
/// backquotes inside double quotes.
fn for_a_shell(text: &str, skip_double_quotes: bool) -> Option<char> {
    let mut characters = text.chars();
    let mut in_double_quotes = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                if let Some('\n') = characters.next() {
                    return Some('\n');
                }
            }
            '"' => in_double_quotes = !in_double_quotes,
            '\'' if !in_double_quotes => {
                characters.find(|character| *character == '\'');
            }
            '$' | '`' if !(in_double_quotes && skip_double_quotes) => return Some(character),
            '&' | '|' | '<' | '>' | ';' | '\n' if !in_double_quotes => return Some(character),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn command_is_split_like_shell_without_expansion() {
        let rows: [(&str, &[&str]); 7] = [
            ("/usr/local/bin/deploy", &["/usr/local/bin/deploy"]),
            ("  git -C \"/srv/my app\"  pull\t--quiet \n", &["git", "-C", "/srv/my app", "pull", "--quiet"]),
            ("sh -c 'git pull && make'", &["sh", "-c", "git pull && make"]),
            ("sh -ec \"cd $DIR; make\"", &["sh", "-ec", "cd $DIR; make"]),
            ("echo '$HOME' \\; \\$ \\| 'a|b' \"a > b\"", &["echo", "$HOME", ";", "$", "|", "a|b", "a > b"]),
            ("echo \"it's\" ''", &["echo", "it's", ""]),
            ("find . -name *.tmp", &["find", ".", "-name", "*.tmp"]),
        ];
        for (text, words) in rows {
            assert_eq!(split(text).expect(text), words, "{text}");
        }
    }

    #[test]
    fn shell_syntax_is_rejected_with_alternative() {
        let lines = [
            "git pull && make",
            "git pull; make",
            "make > log",
            "a | b",
            "make &",
            "sort < list",
            "echo $HOOK_EVENT",
            "echo \"$HOOK_EVENT\"",
            "echo `date`",
            "git pull\nmake",
            "git \\\n pull",
            "sh -c 'a' && b",
        ];
        for line in lines {
            let problem = split(line).expect_err(line).to_string();
            assert!(problem.contains("name a script, or sh -c"), "{line}: {problem}");
        }
    }

    #[test]
    fn open_quote_and_missing_program_are_rejected() {
        for line in ["echo \"open", "echo 'open", "echo \\"] {
            assert!(split(line).expect_err(line).to_string().contains("not closed"), "{line}");
        }
        for line in ["''", "\"\" x", "# only a comment"] {
            assert!(split(line).expect_err(line).to_string().contains("names no program"), "{line}");
        }
    }
}
