//! The program as people use it: a process, its output, its exit code.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

mod code;
mod eval;
mod evaluate;
mod init;
mod instruct;
mod judge;
mod look;
mod machine;
mod open;
mod prune;
mod reward;
mod rewrite;
mod run;
mod serve;
mod specs;
mod stop;
mod train;
