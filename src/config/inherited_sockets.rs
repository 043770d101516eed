//! Listening sockets passed by a service manager, with systemd's protocol: `LISTEN_PID` is the
//! process that receives them, `LISTEN_FDS` is their number (the descriptors start at 3), and
//! `LISTEN_FDNAMES` has their names. A passed socket stays open and queues connections while the
//! service restarts.

use std::net::TcpListener;
use std::num::ParseIntError;

use listenfd::ListenFd;
use socket2::SockRef;

use super::error::{ConfigError, Problems, ValueError};

const PID: &str = "LISTEN_PID";
const COUNT: &str = "LISTEN_FDS";
const NAMES: &str = "LISTEN_FDNAMES";
/// Names of sockets (`FileDescriptorName=`).
const WEBHOOKS_NAME: &str = "webhooks";
const ADMIN_NAME: &str = "admin";
/// One socket for webhooks, and one for API and metrics.
const MAX_SOCKETS: usize = 2;

/// The sockets of this process.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    pub webhooks: Option<TcpListener>,
    pub admin: Option<TcpListener>,
    /// Reason why passed sockets are not used.
    pub warning: Option<String>,
}

/// Use of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketRole {
    Webhooks,
    Admin,
}

/// The variables of the protocol.
#[derive(Debug, Default)]
struct Variables {
    pid: Option<String>,
    count: Option<String>,
    names: Option<String>,
}

/// Interpretation of the variables.
#[derive(Debug, PartialEq, Eq)]
enum SocketHandover {
    /// Roles of the sockets, in the order of the descriptors.
    Sockets(Vec<SocketRole>),
    /// The variables are for another process, perhaps an ancestor that did not remove them from the
    /// environment.
    ForProcess(u32),
}

impl InheritedSockets {
    /// Takes the sockets. If there are any, removes `LISTEN_PID` and `LISTEN_FDS` from the
    /// environment. Must be called once, before other threads exist.
    ///
    /// # Errors
    /// The variables are invalid or contradict each other, or a descriptor is not a listening TCP
    /// socket.
    pub fn take() -> Result<Self, Problems> {
        let variable = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let variables = Variables { pid: variable(PID), count: variable(COUNT), names: variable(NAMES) };
        let one = |problem| Problems(vec![problem]);
        let roles = match variables.passed(std::process::id()).map_err(one)? {
            SocketHandover::Sockets(roles) => roles,
            SocketHandover::ForProcess(pid) => {
                let warning = format!(
                    "{COUNT} is ignored, because {PID} names process {pid}, and this is {}: a script must \
                     start creel with exec",
                    std::process::id()
                );
                return Ok(Self { warning: Some(warning), ..Self::default() });
            }
        };
        let mut sockets = Self::default();
        if roles.is_empty() {
            return Ok(sockets);
        }
        let mut descriptors = ListenFd::from_env();
        for (index, role) in roles.into_iter().enumerate() {
            let socket = listener(&mut descriptors, index).map_err(|error| one(error.of(COUNT)))?;
            match role {
                SocketRole::Webhooks => sockets.webhooks = Some(socket),
                SocketRole::Admin => sockets.admin = Some(socket),
            }
        }
        Ok(sockets)
    }
}

/// Returns one of the passed sockets. `listenfd` marks it as close-on-exec, so that commands of
/// targets do not inherit it.
fn listener(descriptors: &mut ListenFd, index: usize) -> Result<TcpListener, ValueError> {
    let wrong = |problem: &str| ValueError::new(format!("socket {} passed by systemd {problem}", index + 1));
    let taken = descriptors.take_tcp_listener(index).map_err(|error| {
        wrong(&format!("is not a TCP socket ({error})"))
            .hint("use ListenStream=ADDRESS:PORT in the socket's unit")
            .caused_by(error)
    })?;
    let socket = taken.ok_or_else(|| wrong("is missing"))?;
    match SockRef::from(&socket).is_listener() {
        Ok(true) => Ok(socket),
        Ok(false) => Err(wrong("is not listening").hint("use Accept=no in the socket's unit")),
        Err(error) => Err(wrong(&format!("cannot be inspected: {error}")).caused_by(error)),
    }
}

impl Variables {
    fn passed(&self, own_pid: u32) -> Result<SocketHandover, ConfigError> {
        let Some(count) = &self.count else { return Ok(SocketHandover::Sockets(Vec::new())) };
        let count: usize = count.parse().map_err(|error: ParseIntError| {
            ValueError::new(format!("`{count}` is not a number of sockets"))
                .hint("remove it, unless a service manager sets it")
                .caused_by(error)
                .of(COUNT)
        })?;
        let pid = self.pid.as_deref().unwrap_or_default();
        if pid.is_empty() {
            return Err(ValueError::new(format!("is not set, but {COUNT} is"))
                .hint("a service manager sets both (try systemd-socket-activate)")
                .of(PID));
        }
        let pid: u32 = pid.parse().map_err(|error: ParseIntError| {
            ValueError::new(format!("`{pid}` is not a process id")).caused_by(error).of(PID)
        })?;
        if pid != own_pid {
            return Ok(SocketHandover::ForProcess(pid));
        }
        if count > MAX_SOCKETS {
            return Err(ValueError::new(format!(
                "{count} sockets were passed, but creel accepts at most {MAX_SOCKETS}: one for webhooks, one for API and metrics"
            ))
            .of(COUNT));
        }
        self.roles(count).map(SocketHandover::Sockets)
    }

    /// Assigns roles by name. Sockets with other names get the remaining roles in order, because
    /// without `FileDescriptorName=` systemd uses the unit's name as the name of the socket.
    fn roles(&self, count: usize) -> Result<Vec<SocketRole>, ConfigError> {
        let names = self.names.as_deref().unwrap_or_default();
        let names: Vec<&str> = if names.is_empty() { vec![""; count] } else { names.split(':').collect() };
        if names.len() != count {
            let problem = format!("has {} names for {count} sockets ({COUNT})", names.len());
            return Err(ValueError::new(problem).of(NAMES));
        }
        let by_name = |name: &str| match name {
            WEBHOOKS_NAME => Some(SocketRole::Webhooks),
            ADMIN_NAME => Some(SocketRole::Admin),
            _ => None,
        };
        let named: Vec<Option<SocketRole>> = names.into_iter().map(by_name).collect();
        let mut free = [SocketRole::Webhooks, SocketRole::Admin]
            .into_iter()
            .filter(|role| !named.contains(&Some(*role)));
        let roles: Option<Vec<SocketRole>> = named.iter().map(|role| role.or_else(|| free.next())).collect();
        match roles {
            Some(roles) if roles.first() != roles.get(1) || count < MAX_SOCKETS => Ok(roles),
            _ => Err(ValueError::new("both sockets have the same name")
                .hint(format!("call one {WEBHOOKS_NAME}, the other {ADMIN_NAME} (FileDescriptorName=)"))
                .of(NAMES)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN_PID: u32 = 4_711;

    fn passed(
        pid: Option<&str>,
        count: Option<&str>,
        names: Option<&str>,
    ) -> Result<SocketHandover, ConfigError> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Variables { pid: owned(pid), count: owned(count), names: owned(names) }.passed(OWN_PID)
    }

    #[test]
    fn sockets_get_roles_by_name_then_by_order() {
        use SocketRole::{Admin, Webhooks};
        let rows: [(Option<&str>, &str, &[SocketRole]); 11] = [
            (None, "0", &[]),
            (None, "1", &[Webhooks]),
            (None, "2", &[Webhooks, Admin]),
            (Some("webhooks"), "1", &[Webhooks]),
            (Some("admin"), "1", &[Admin]),
            (Some("creel.socket"), "1", &[Webhooks]),
            (Some("creel.socket:creel.socket"), "2", &[Webhooks, Admin]),
            (Some("admin:webhooks"), "2", &[Admin, Webhooks]),
            (Some("admin:creel.socket"), "2", &[Admin, Webhooks]),
            (Some("creel.socket:webhooks"), "2", &[Admin, Webhooks]),
            (Some(""), "1", &[Webhooks]),
        ];
        for (names, count, roles) in rows {
            let found = passed(Some("4711"), Some(count), names);
            assert_eq!(found.unwrap(), SocketHandover::Sockets(roles.to_vec()), "{names:?} {count}");
        }
        assert_eq!(passed(None, None, None).unwrap(), SocketHandover::Sockets(Vec::new()));
        assert_eq!(
            passed(Some("4711"), None, Some("webhooks")).unwrap(),
            SocketHandover::Sockets(Vec::new())
        );
    }

    #[test]
    fn sockets_of_another_process_are_ignored() {
        assert_eq!(passed(Some("1"), Some("1"), None).unwrap(), SocketHandover::ForProcess(1));
        assert_eq!(passed(Some("1"), Some("7"), None).unwrap(), SocketHandover::ForProcess(1));
    }

    #[test]
    fn contradictory_variables_are_named_in_error() {
        let own = Some("4711");
        let rows = [
            (own, Some("one"), None, COUNT),
            (own, Some("-1"), None, COUNT),
            (own, Some(""), None, COUNT),
            (own, Some("3"), None, COUNT),
            (None, Some("1"), None, PID),
            (Some(""), Some("1"), None, PID),
            (Some("me"), Some("1"), None, PID),
            (own, Some("2"), Some("webhooks"), NAMES),
            (own, Some("1"), Some("webhooks:admin"), NAMES),
            (own, Some("2"), Some("admin:admin"), NAMES),
            (own, Some("2"), Some("webhooks:webhooks"), NAMES),
        ];
        for (pid, count, names, named) in rows {
            let error = passed(pid, count, names).unwrap_err();
            assert_eq!(error.variable, named, "{error}");
        }
    }
}
