//! What the tests share: the real model, where it can be found.

use model::{Engine, Options, Precision, catalogue};
use serde_json::Value;
use std::{path::PathBuf, sync::Mutex};

/// The catalogue's model, where it has been fetched; else says that the test is skipped.
pub fn real_file() -> Option<PathBuf> {
    let found = catalogue::locate("smollm2-135m-instruct").ok().flatten();
    if found.is_none() {
        skip("the model smollm2-135m-instruct is not in the cache");
    }
    found
}

/// The real model, loaded anew.
#[allow(dead_code)]
pub fn real(options: Options) -> Option<Engine> {
    Some(Engine::load(&real_file()?, options).unwrap())
}

/// The real model in f32, loaded once per test program.
#[allow(dead_code)]
pub fn with_real(check: impl FnOnce(&mut Engine)) {
    static SHARED: Mutex<Option<Engine>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
    if shared.is_none() {
        *shared = real(Options {
            precision: Precision::F32,
            ..Options::default()
        });
    }
    if let Some(engine) = shared.as_mut() {
        check(engine);
    }
}

/// A file that the scripts in `scripts/oracles` made.
#[allow(dead_code)]
pub fn fixture(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture_path(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn fixture_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The token ids of a JSON list.
#[allow(dead_code)]
pub fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap() as u32)
        .collect()
}

/// Says that a test is skipped, where it is read: see CONTRIBUTING.md.
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
