//! Creel: a webhook inbox in one binary and one SQLite file.
#![forbid(unsafe_code)]

mod api;
mod app;
mod cleanup;
mod cli;
mod config;
mod content;
mod deliver;
mod http;
mod ingest;
mod json;
mod operate;
mod outbound;
mod providers;
mod query;
mod request_id;
mod scheme;
mod store;
mod verification;

pub use cli::{Arguments, protect_secrets, run};

/// Items for the benchmarks, fuzz targets and catalogue tests of this package.
#[doc(hidden)]
pub mod testing {
    pub use crate::app::{App, Listeners};
    pub use crate::config::{Config, command_environment};
    pub use crate::content::{charset, coding, form, view};
    pub use crate::deliver::{DeliverySettings, DeliveryThread};
    pub use crate::json::{PathValue, Paths, Pointers, lookup};
    pub use crate::operate::diff::{BodyDelta, ComparedBody, compare_bodies};
    pub use crate::outbound::{DeliveryClient, HeaderFields, Reach};
    pub use crate::providers::{
        Cause, ConfirmQuery, ConfirmResult, Description, EmptyKeyStore, Handshake, HandshakeAction,
        HandshakePhase, Headers, KeyRequest, KeyResponse, KeyStore, LearningWindow, Recipe, Reply, Request,
        Roots, SampleOptions, Secret, SettingKind, Settings, Verifier, VerifyError, recipe, recipes,
    };
    pub use crate::scheme::{
        auth_scheme, canonical, certificate, condition, encoding, freshness, jwt, layout, place, public_key,
        signature, template,
    };
    pub use crate::store::{
        DeliveryOrdering, DueQuery, Identity, MessageContent, NewMessage, Origin, Pattern, Receipt, Store,
        StoreOptions, StoredSecret, TargetDraft, TargetId, TargetKind, TargetSecrets, TargetSettings,
        TargetState, Timestamp,
    };

    pub mod query {
        pub use crate::query::{
            HeaderTest, LeafTest, MessageFacts, MessageFlags, MessageQuery, MessageState, MessageText,
            MessageWords, NumberComparison, QueryClause, QueryError, QueryTerm, QueryTime, RequiredWords,
            SearchWord, SearchedDelivery, SearchedMessage, add_message_words, message_words, search_words,
        };
    }

    pub mod json {
        pub use crate::json::{accepts, compact, without_mark};
    }
}
