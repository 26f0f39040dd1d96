//! The coordinator's HTTP API: runs are submitted, watched, steered and read out.
//!
//! It reads and writes the store, so any coordinator answers for all of them, and a request that changed a run has
//! changed it for good when it is answered. What it says to workers beside that only spares them work.
//!
//! | file | what |
//! | --- | --- |
//! | `guard` | who may ask: the token; without one, only this machine's own programs |
//! | `body`, `fault` | what comes in, bounded and strict; what goes wrong, always in one shape |
//! | `submit`, `files` | from a spec's text to a run; its files only below the data root |
//! | `runs`, `steer`, `events`, `rows` | look, act, watch, export |
//! | `shapes`, `document` | the JSON of all that, and its OpenAPI document |
//!
//! What comes over HTTP is trusted with nothing but model calls within a budget: it names no file outside the data
//! root, no environment variable is read for it, and it starts no program (see [`Trust`]).

mod body;
mod document;
mod events;
mod fault;
mod files;
mod guard;
mod rows;
mod runs;
pub mod shapes;
mod steer;
mod submit;

pub use files::DataRoot;
pub use guard::{OPEN, Token, guarded};

use axum::{Router, extract::DefaultBodyLimit, http::header::CONTENT_TYPE, routing::get};
use queue::TaskQueue;
use runtime::{clock::Clock, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use store::Store;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The largest body of a request, bytes.
pub const BODY_LIMIT: usize = 1 << 20;
/// How often a stream of events looks at the store.
pub const POLL: Duration = Duration::from_secs(1);

/// What the API is given.
#[derive(Clone)]
pub struct Api {
    /// Where everything is stored.
    pub store: Arc<dyn Store>,
    /// Where workers are told.
    pub queue: Arc<dyn TaskQueue>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where files of specs are; without it, specs name none.
    pub data_root: Option<DataRoot>,
    /// What specs may ask of workers.
    pub trust: Trust,
    /// Ends streams.
    pub shutdown: Shutdown,
    /// How often a stream of events looks: [`POLL`], or quicker in tests.
    pub poll: Duration,
}

/// What the specs that come in may ask of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Model calls and our own graders.
    Calls,
    /// Also graders of their own: any program and any address, as the workers' user.
    Graders,
}

/// The API as its handlers see it.
#[derive(Clone)]
struct Site(Api);

impl std::ops::Deref for Site {
    type Target = Api;
    fn deref(&self) -> &Api {
        &self.0
    }
}

impl Site {
    fn store(&self) -> &dyn Store {
        self.0.store.as_ref()
    }

    fn now(&self) -> i64 {
        self.0.clock.now_micros()
    }
}

/// The routes, and `/openapi.json` that describes them. Merge it with what else is served, then put [`guarded`] round
/// all of it.
pub fn router(api: Api) -> Router {
    let (routes, document) = OpenApiRouter::with_openapi(document::beginning())
        .routes(routes!(runs::list, submit::submit))
        .routes(routes!(runs::status))
        .routes(routes!(runs::result))
        .routes(routes!(events::events))
        .routes(routes!(steer::cancel))
        .routes(routes!(steer::pause))
        .routes(routes!(steer::resume))
        .routes(routes!(steer::retry))
        .routes(routes!(steer::priority))
        .routes(routes!(rows::export))
        .split_for_parts();
    let document = serde_json::to_string_pretty(&document).unwrap_or_default();
    let told = move || async move { ([(CONTENT_TYPE, "application/json")], document) };
    routes
        .with_state(Site(api))
        .route("/openapi.json", get(told))
        .fallback(fault::no_route)
        .method_not_allowed_fallback(fault::no_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}
