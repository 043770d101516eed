//! Checks whether the program of a command can run on this machine, by reading its file.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Number of bytes of a script that the kernel reads for its `#!` line.
const MAX_FIRST_LINE_BYTES: u64 = 256;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Options of `env` that are followed by a value.
const ENV_OPTIONS_WITH_VALUE: [&str; 5] = ["-u", "--unset", "-C", "--chdir", "-P"];

const SHELLS: [&str; 6] = ["sh", "ash", "bash", "dash", "ksh", "zsh"];
/// Names without a version suffix.
const INTERPRETERS: [&str; 8] = ["bun", "lua", "node", "nodejs", "perl", "php", "python", "ruby"];
/// Letters of options that take no value in any shell or interpreter.
const PLAIN_OPTIONS: &str = "uwxv";

/// Returns the problem with the program of a command. `search_path`: the directories searched for
/// programs.
pub fn problem(words: &[String], search_path: &[PathBuf]) -> Option<String> {
    let program = words.first()?;
    let path = match locate(program, search_path) {
        Ok(path) => path,
        Err(why) => return Some(format!("its program {program:?} {why}")),
    };
    if Path::new(program).file_name().is_some_and(|name| name == "env")
        && let Some(named) = program_of_env(words[1..].iter().map(String::as_str))
    {
        if let Err(why) = locate(named, search_path) {
            return Some(format!("its program {named:?} {why}"));
        }
        let at = words.iter().rposition(|word| word == named)?;
        return problem_of_arguments(named, &words[at + 1..]);
    }
    problem_of_arguments(program, &words[1..])
        .or_else(|| problem_of_script(&path, search_path).map(|why| format!("its program {program:?} {why}")))
}

/// Returns the problem with the script passed to an interpreter. The search stops at options that
/// may take a value.
fn problem_of_arguments(program: &str, arguments: &[String]) -> Option<String> {
    let interpreter = Path::new(program).file_name()?.to_str()?;
    let is_shell = SHELLS.contains(&interpreter);
    let name = interpreter.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
    if !is_shell && !INTERPRETERS.contains(&name) {
        return None;
    }
    let mut arguments = arguments.iter();
    let script = loop {
        let argument = arguments.next()?;
        let Some(option) = argument.strip_prefix('-') else { break argument.as_str() };
        if is_shell && option.ends_with('c') && option.bytes().all(|byte| byte.is_ascii_lowercase()) {
            break first_word(arguments.next()?)?;
        }
        if option.is_empty() || !option.chars().all(|letter| PLAIN_OPTIONS.contains(letter)) {
            return None;
        }
    };
    // Without a slash, the script may be found elsewhere or be a shell command.
    let why = match Path::new(script).metadata() {
        _ if !script.contains('/') || script.contains("://") => return None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "does not exist",
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            "cannot be reached: a directory in its path is not accessible"
        }
        _ => return None,
    };
    Some(format!("its program {program:?} runs {script:?}, which {why}"))
}

/// Returns the program at the start of a shell text, if it is an absolute path without quotes or
/// expansions.
fn first_word(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let text = text.strip_prefix("exec ").map_or(text, str::trim_start);
    let end = text.find([' ', '\t', '\n', ';', '&', '|', '>', '<', '(', ')']).unwrap_or(text.len());
    let word = &text[..end];
    let is_written_out = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    (word.starts_with('/') && word.bytes().all(is_written_out)).then_some(word)
}

/// Returns the path of a program. `Err`: the reason why it cannot be run.
fn locate(program: &str, search_path: &[PathBuf]) -> Result<PathBuf, &'static str> {
    if program.contains('/') {
        return examine(Path::new(program)).map(|()| program.into());
    }
    let mut problem = "is not on PATH";
    for path in search_path.iter().map(|directory| directory.join(program)) {
        match examine(&path) {
            Ok(()) => return Ok(path),
            // Like the system, continue the search after a file that cannot be run.
            Err(why) if path.is_file() => problem = why,
            Err(_) => {}
        }
    }
    Err(problem)
}

fn examine(path: &Path) -> Result<(), &'static str> {
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err("cannot be reached: a directory in its path is not accessible")
        }
        Err(_) => Err("does not exist"),
        Ok(file) if file.is_dir() => Err("is a directory"),
        Ok(file) if !file.is_file() => Err("is not a file"),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => Err("is not executable"),
        Ok(_) => Ok(()),
    }
}

/// Returns the word after the options and assignments of `env`. `None` if no program follows, or if
/// PATH is changed first.
fn program_of_env<'a>(words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut words = words.skip_while(|word| word.is_empty());
    let mut options_end = false;
    while let Some(word) = words.next() {
        if !options_end && let Some(split) = word.strip_prefix("-S").filter(|rest| !rest.is_empty()) {
            return split.split_whitespace().next();
        }
        match word {
            "--" if !options_end => options_end = true,
            _ if !options_end && ENV_OPTIONS_WITH_VALUE.contains(&word) => drop(words.next()),
            _ if !options_end && word.starts_with('-') => {}
            _ if word.starts_with("PATH=") => return None,
            _ if word.contains('=') => options_end = true,
            _ => return Some(word),
        }
    }
    None
}

/// Returns the reason why the system cannot run a script.
fn problem_of_script(script: &Path, search_path: &[PathBuf]) -> Option<String> {
    let mut start = Vec::new();
    std::fs::File::open(script).ok()?.take(MAX_FIRST_LINE_BYTES).read_to_end(&mut start).ok()?;
    if start.is_empty() {
        return Some("is empty".to_owned());
    }
    if start.strip_prefix(BYTE_ORDER_MARK).is_some_and(|rest| rest.starts_with(b"#!")) {
        return Some(
            "starts with a byte order mark (BOM), so the system ignores its `#!` line; remove it".to_owned(),
        );
    }
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    // A trailing carriage return stays, because the system treats it as part of the name.
    let line = String::from_utf8_lossy(line);
    let line = line.trim_matches([' ', '\t']);
    let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let named =
        |name: &str, why: &str| format!("starts with a line for the interpreter {name:?}, which {why}");
    if let Err(why) = examine(Path::new(interpreter)) {
        return Some(named(interpreter, why));
    }
    if Path::new(interpreter).file_name().is_none_or(|name| name != "env") {
        return None;
    }
    // The system passes the rest of the line as one argument, which only -S splits.
    let argument = argument.trim_start_matches([' ', '\t']);
    let program = match argument.starts_with('-') {
        true => program_of_env(argument.split([' ', '\t'])),
        false => program_of_env(std::iter::once(argument)),
    }?;
    locate(program, search_path).err().map(|why| named(program, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(words: &[&str], directory: &Path) -> Option<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        problem(&words, &[directory.to_owned(), "/usr/bin".into(), "/bin".into()])
    }

    #[track_caller]
    fn assert_problem(words: &[&str], directory: &Path, part: Option<&str>) {
        let found = problem_of(words, directory);
        let is_reported = |part: &str| found.as_ref().is_some_and(|found| found.contains(part));
        assert!(part.map_or(found.is_none(), is_reported), "{words:?}: {found:?}");
    }

    #[test]
    fn script_that_cannot_run_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let rows: [(&[u8], Option<&str>); 16] = [
            (b"#!/bin/sh -e\n", None),
            (b"#!/bin/sh\r\n", Some("\"/bin/sh\\r\"")),
            (b"#! /no/such/python3\nprint()\n", Some("\"/no/such/python3\", which does not exist")),
            (b"#!/usr\n", Some("\"/usr\", which is a directory")),
            (b"\x7fELF", None),
            (b"", Some("is empty")),
            (b"\xef\xbb\xbf#!/bin/sh\n", Some("BOM")),
            (b"#!/usr/bin/env sh\n", None),
            (b"#!/usr/bin/env nonexistent\n", Some("\"nonexistent\", which is not on PATH")),
            (b"#!/usr/bin/env sh\r\n", Some("\"sh\\r\"")),
            (b"#!/usr/bin/env sh -e\n", Some("\"sh -e\"")),
            (b"#!/usr/bin/env -S sh -e\n", None),
            (b"#!/usr/bin/env -S nonexistent -e\n", Some("\"nonexistent\"")),
            (b"#!/usr/bin/env -Snonexistent -e\n", Some("\"nonexistent\"")),
            (b"#!/usr/bin/env -S A=b -i nonexistent\n", Some("\"-i\"")),
            (b"#!/usr/bin/env -S A=b sh\n", None),
        ];
        for (number, (text, part)) in rows.into_iter().enumerate() {
            let path = directory.path().join(format!("script-{number}"));
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_problem(&[path.to_str().unwrap()], directory.path(), part);
        }
    }

    #[test]
    fn missing_program_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("plain"), "#!/bin/sh\n").unwrap();
        std::fs::create_dir(path.join("folder")).unwrap();
        let folder = path.join("folder");
        let rows: [(&[&str], Option<&str>); 24] = [
            (&["nonexistent"], Some("\"nonexistent\" is not on PATH")),
            (&["/no/such/program"], Some("does not exist")),
            (&[folder.to_str().unwrap()], Some("is a directory")),
            (&["folder"], Some("is not on PATH")),
            (&["plain"], Some("is not executable")),
            (&["/usr/bin/env", "nonexistent"], Some("\"nonexistent\" is not on PATH")),
            (&["env", "-i", "-u", "HOME", "A=b", "nonexistent", "sh"], Some("\"nonexistent\"")),
            (&["/usr/bin/env", "A=b", "sh", "nonexistent"], None),
            (&["env", "--", "nonexistent"], Some("\"nonexistent\"")),
            (&["env", "PATH=/opt/bin", "nonexistent"], None),
            (&["env"], None),
            (&["sh", "-c", "true"], None),
            (&["sh", "/no/such.sh"], Some("runs \"/no/such.sh\", which does not exist")),
            (&["sh", "no/such.sh", "x"], Some("does not exist")),
            (&["sh", "-x", "/no/such.sh"], Some("does not exist")),
            (&["sh", "-c", "/no/such --option; true"], Some("\"/no/such\", which does not exist")),
            (&["sh", "-ec", "exec /no/such"], Some("does not exist")),
            (&["env", "A=b", "sh", "-c", "/no/such"], Some("does not exist")),
            (&["sh", "-c", "cd /no/such"], None),
            (&["sh", "-c", "/bin/$NAME"], None),
            (&["sh", "-o", "/no/such"], None),
            (&["sh", "-c", "/bin/sh"], None),
            (&["sh", "/bin"], None),
            (&["true", "/no/such"], None),
        ];
        for (words, part) in rows {
            assert_problem(words, path, part);
        }
        // Only the shell is certain to exist on this machine, so other interpreters are tested
        // without a lookup.
        let problem = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            problem_of_arguments(&words[0], &words[1..])
        };
        for words in [
            &["python3", "/no/such.py"][..],
            &["/usr/bin/python3.12", "-u", "/no/such.py"],
            &["node", "/no/such.js"],
        ] {
            assert!(problem(words).is_some_and(|problem| problem.contains("does not exist")), "{words:?}");
        }
        for words in [&["python3", "-m", "no/such"][..], &["node", "-e", "/no/such"], &["cat", "/no/such"]] {
            assert_eq!(problem(words), None, "{words:?}");
        }
    }
}
