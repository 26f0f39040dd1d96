//! The database and the broker of tests on a cluster: `scripts/test` starts them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::print_stdout, reason = "why a test was skipped")]

use std::{fs::File, path::Path};

/// Where the services are: the URLs of database and broker. `None`, with the reason told, where `test` cannot run.
pub fn find(test: &str) -> Option<(String, String)> {
    let [database, broker] = ["PROMPTIMAL_TEST_DATABASE_URL", "PROMPTIMAL_TEST_AMQP_URL"]
        .map(|name| std::env::var(name).map_err(|_| name));
    match (database, broker) {
        (Ok(database), Ok(broker)) => Some((database, broker)),
        (Err(name), _) | (_, Err(name)) => {
            skip(&format!(
                "{test}: {name} is not set (scripts/test starts it)"
            ));
            None
        }
    }
}

fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

/// The permission to use the broker: meanwhile no test of the queue kills it.
pub fn shared() -> Option<File> {
    let file = turns()?;
    file.lock_shared().unwrap();
    Some(file)
}

/// Broker and database for one test alone: coordinators of another one would not know its runs.
pub fn alone() -> Option<File> {
    let file = turns()?;
    file.lock().unwrap();
    Some(file)
}

/// The file is that of `crates/queue/tests/support`.
fn turns() -> Option<File> {
    let dir = std::env::var_os("PROMPTIMAL_TEST_RABBITMQ_DIR")?;
    Some(File::create(Path::new(&dir).join("turns")).unwrap())
}
