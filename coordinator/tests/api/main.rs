//! The HTTP API over a real connection: a store in a folder, a queue in this process.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod files;
mod guard;
mod look;
mod retain;
mod scene;
mod steer;
mod submit;
#[path = "../support/mod.rs"]
mod support;
mod watch;
