//! Configuration errors, composed of the variable, the problem with its value, and a hint. Neither
//! `Display` nor `Debug` shows a secret.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Cause of an error; shared, so that errors can be cloned.
type ErrorSource = Arc<dyn Error + Send + Sync>;

/// The problem with a value, and the remedy. Does not name the variable or field.
#[derive(Clone, Debug)]
pub struct ValueError {
    problem: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    cause: Option<ErrorSource>,
}

impl ValueError {
    pub fn new(problem: impl Into<Cow<'static, str>>) -> Self {
        Self { problem: problem.into(), hint: None, cause: None }
    }

    /// Adds the remedy, such as a valid value.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another valid value to the hint.
    pub fn or(mut self, alternative: &str) -> Self {
        self.hint = self.hint.map(|hint| format!("{hint}, or {alternative}").into());
        self
    }

    /// Adds the cause. Neither its `Display` nor its `Debug` may show a part of a secret.
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Adds the name of the variable.
    pub fn of(self, variable: impl Into<String>) -> ConfigError {
        ConfigError { variable: variable.into(), error: self }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

impl Error for ValueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_deref()?)
    }
}

/// A problem with one variable.
#[derive(Clone, Debug)]
pub struct ConfigError {
    /// The variable, or the name of a source if several variables are missing.
    pub variable: String,
    pub error: ValueError,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.error)
    }
}

/// `Display` already includes the text of `error`, so `source` returns the cause of `error`.
impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Every problem found.
#[derive(Clone, Debug)]
pub struct Problems(pub Vec<ConfigError>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} problem{plural} in the configuration:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_has_variable_problem_and_hint() {
        let error = ValueError::new("is zero");
        assert_eq!(error.to_string(), "is zero");
        let error = error.hint("write 1s").or("off");
        assert_eq!(error.clone().of("CREEL_A").to_string(), "CREEL_A: is zero; write 1s, or off");
        let cause = "x".parse::<u8>().unwrap_err();
        let error = error.caused_by(cause.clone()).of("CREEL_A");
        assert_eq!(error.source().unwrap().to_string(), cause.to_string());
    }

    #[test]
    fn problems_are_counted_and_printed_one_per_line() {
        let problem = |variable: &str| ValueError::new("x").of(variable);
        let two = Problems(vec![problem("CREEL_A"), problem("CREEL_B")]);
        assert_eq!(two.to_string(), "2 problems in the configuration:\n  CREEL_A: x\n  CREEL_B: x");
        let one = Problems(vec![problem("CREEL_A")]);
        assert_eq!(one.to_string(), "1 problem in the configuration:\n  CREEL_A: x");
    }
}
