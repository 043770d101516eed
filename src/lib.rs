//! Creel: a webhook inbox in one binary and one SQLite file.
#![forbid(unsafe_code)]

mod api;
pub mod app;
pub mod cleanup;
pub mod cli;
pub mod config;
mod content;
pub mod deliver;
mod http;
mod ingest;
mod json;
mod operate;
pub mod outbound;
mod providers;
mod scheme;
pub mod store;
mod verification;

/// Items for the benchmarks, fuzz targets and catalogue tests of this package.
#[doc(hidden)]
pub mod testing {
    pub use crate::content::{charset, coding, form, view};
    pub use crate::json::{PathValue, Paths, Pointers, lookup};
    pub use crate::providers::{
        Cause, ConfirmResult, Description, EmptyKeyStore, Handshake, HandshakeAction, HandshakePhase,
        Headers, KeyRequest, KeyResponse, KeyStore, LearningWindow, Question, Recipe, Reply, Request, Roots,
        SampleOptions, Secret, SettingKind, Settings, Verifier, VerifyError, recipe, recipes,
    };
    pub use crate::scheme::{
        auth_scheme, canonical, certificate, condition, encoding, freshness, jwt, layout, place, public_key,
        signature, template,
    };

    pub mod json {
        pub use crate::json::{accepts, compact, without_mark};
    }
}
