//! Errors of the health, readiness and metrics endpoints, as plain text for probes and scrapers.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::http::attempts::{RETRY_AFTER, UncheckedToken};
use crate::http::reply;
use crate::store::Unavailable;

/// Errors as shown to clients, without internal details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    NotReady,
    Unauthorized,
    /// The Host header is not one that `hosts::is_own` accepts.
    OtherHost,
    TooManyAttempts,
    Unavailable(Unavailable),
}

impl EndpointError {
    /// Machine-readable error code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Unauthorized => "unauthorized",
            Self::OtherHost => "other_host",
            Self::TooManyAttempts => "too_many_attempts",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for EndpointError {}

impl From<Unavailable> for EndpointError {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

impl From<UncheckedToken> for EndpointError {
    fn from(why: UncheckedToken) -> Self {
        match why {
            UncheckedToken::TooManyAttempts => Self::TooManyAttempts,
            UncheckedToken::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl ResponseError for EndpointError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotReady | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::OtherHost => StatusCode::MISDIRECTED_REQUEST,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Unavailable(_) => reply::unavailable(),
            Self::NotReady => reply::text(self.status_code(), "not ready"),
            Self::Unauthorized => reply::unauthorized("A token is required."),
            Self::OtherHost => {
                reply::text(self.status_code(), "Unknown host name: use the IP address, or send a token.")
            }
            Self::TooManyAttempts => reply::too_many_requests(RETRY_AFTER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_status_and_code() {
        let rows = [
            (EndpointError::NotReady, 503, "not_ready"),
            (EndpointError::Unauthorized, 401, "unauthorized"),
            (EndpointError::OtherHost, 421, "other_host"),
            (EndpointError::TooManyAttempts, 429, "too_many_attempts"),
            (EndpointError::Unavailable(Unavailable::QueueFull), 503, "unavailable"),
        ];
        for (error, status, code) in rows {
            assert_eq!((error.status_code().as_u16(), error.code()), (status, code));
            assert_eq!(error.error_response().status(), error.status_code());
        }
    }
}
