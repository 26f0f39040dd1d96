//! What every service of Promptimal needs around its own work.
//!
//! - [`telemetry`]: log lines, as text or JSON, on standard error.
//! - [`shutdown`]: first ask to drain, then to stop at once.
//! - [`clock`]: the time as a parameter.
//! - `bodies` (with the feature `service`): what is too large for the broker travels by reference.
//! - [`given_up`]: runs whose tasks nobody wants any more.
//! - `guard` (a feature): who may ask over HTTP.
//! - [`heart`]: signs of life, which no amount of work can keep back.
//! - `service` (a feature): health, readiness and metrics over HTTP, and who this process is.
//! - [`trace`]: which trace a message belongs to.
//! - [`work`]: the loop that consumes, handles, reports and only then acknowledges.

#[cfg(feature = "service")]
pub mod bodies;
pub mod clock;
pub mod given_up;
#[cfg(feature = "guard")]
pub mod guard;
pub mod heart;
mod line;
#[cfg(feature = "service")]
pub mod service;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
pub mod work;
