//! Real signals to this very process. One test only: signals go to the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]
#![cfg(unix)]
#![allow(unsafe_code)]

use runtime::shutdown::Shutdown;

fn send(signal: libc::c_int) {
    // SAFETY: raise has no preconditions; both signals have handlers by then.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

#[tokio::test]
async fn the_first_signal_drains_and_the_second_stops() {
    let shutdown = Shutdown::install_signals().unwrap();
    send(libc::SIGINT);
    shutdown.drain_requested().await;
    assert!(!shutdown.is_stopping());
    send(libc::SIGTERM);
    shutdown.stop_requested().await;
}
