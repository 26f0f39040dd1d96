//! What every service of Promptimal needs around its own work.
//!
//! - [`telemetry`]: log lines, as text or JSON, on standard error.
//! - [`shutdown`]: first ask to drain, then to stop at once.
//! - [`clock`]: the time as a parameter.
//! - [`heart`]: signs of life, which no amount of work can keep back.
//! - [`work`]: the loop that consumes, handles, reports and only then acknowledges.

pub mod clock;
pub mod heart;
pub mod shutdown;
pub mod telemetry;
pub mod work;
