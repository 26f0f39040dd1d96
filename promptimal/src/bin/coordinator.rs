//! The coordinator of a cluster. It is built here because it brings the store, which the crate `coordinator` must not
//! know.

use std::process::ExitCode;

fn main() -> ExitCode {
    promptimal::coordinator_main()
}
