//! `creel healthcheck`: checks whether the running service accepts messages.

use std::time::Duration;

use super::output::{Failure, harmless};
use super::send::block_on;
use crate::config::Config;
use crate::outbound::Client;

/// Less than the timeout of a container's health check.
const TIMEOUT: Duration = Duration::from_secs(2);
const MAX_SHOWN_CHARACTERS: usize = 200;

pub fn check_readiness(config: &Config) -> Result<String, Failure> {
    // The admin address is preferred, because clients that exhaust the webhook connections do not
    // affect it. With port 0 the system chooses the port, which is unknown here.
    let base = match config.admin_listen {
        Some(admin) if admin.port() != 0 => config.local_admin_url(),
        _ => config.local_url(),
    };
    let url = format!("{base}/readyz");
    let answer = block_on(async { Client::new().request("GET", &url, &[], Vec::new(), TIMEOUT).await })?;
    match answer {
        Ok(response) if response.status == 200 => Ok("ready\n".to_owned()),
        Ok(response) => {
            let reason: String =
                String::from_utf8_lossy(&response.body).chars().take(MAX_SHOWN_CHARACTERS).collect();
            Err(Failure(format!("{url} answered {}: {}", response.status, harmless(reason.trim()))))
        }
        Err(error) => Err(Failure(format!("{url} cannot be reached: {error}"))),
    }
}
