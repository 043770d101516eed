//! The environment of commands: three variables of this process that programs need, and no
//! `CREEL_*` variables, because they can contain secrets.

use std::ffi::OsString;
use std::path::PathBuf;

const INHERITED_VARIABLES: [&str; 3] = ["PATH", "HOME", "LANG"];
/// Search path of programs if `PATH` is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The environment of commands, without the per-message variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandEnvironment {
    pub variables: Vec<(OsString, OsString)>,
}

/// Returns the variables that commands inherit from this process.
pub fn command_environment() -> CommandEnvironment {
    let variable = |name: &str| Some((OsString::from(name), std::env::var_os(name)?));
    CommandEnvironment { variables: INHERITED_VARIABLES.into_iter().filter_map(variable).collect() }
}

impl CommandEnvironment {
    /// Returns the directories searched for programs without a slash in their name. Empty entries,
    /// which mean the working directory, are left out.
    pub fn search_path(&self) -> Vec<PathBuf> {
        let path = self.variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
        std::env::split_paths(&path).filter(|directory| !directory.as_os_str().is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_variables_are_passed_on() {
        let names: Vec<OsString> =
            command_environment().variables.into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name == "PATH"), "{names:?}");
        assert!(
            names.iter().all(|name| INHERITED_VARIABLES.iter().any(|passed| name == passed)),
            "{names:?}"
        );
    }

    #[test]
    fn search_path_excludes_working_directory() {
        let with = |path: &str| CommandEnvironment { variables: vec![("PATH".into(), path.into())] };
        assert_eq!(with("/a::/b:").search_path(), ["/a", "/b"].map(PathBuf::from));
        let default = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
        assert_eq!(CommandEnvironment::default().search_path(), default);
    }
}
