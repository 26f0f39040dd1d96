//! What the command line asks of a coordinator: `submit`, `watch`, `cancel`, `pause`, `retry`, and other commands with
//! `--coordinator`.

mod look;
mod steer;
mod submit;
mod watch;

pub use look::{export, runs, show};
pub use steer::{Act, act, resume};
pub use submit::submit;
pub use watch::watch;
