//! What the harness tells a method; `tests/job.json` shows one.

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Job {
    /// Calls of the target.
    pub budget: usize,
    /// The gateway's, for this cell.
    pub url: String,
    pub labels: Vec<String>,
    /// The start prompt.
    pub start: String,
    /// Texts and their labels.
    pub pool: Vec<(String, String)>,
}

impl Job {
    pub fn read(path: &str) -> Result<Self> {
        let told = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        serde_json::from_str(&told).with_context(|| format!("{path} is no job"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_the_harness_writes_it() {
        // The harness's own test reads the same file: tests/test_dspy_rs.py
        let told = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/job.json");
        let job = Job::read(told).unwrap();
        assert_eq!(job.url, "http://127.0.0.1:1/sst2.0.dspy-rs.200");
        assert_eq!((job.budget, job.labels.len()), (200, 2));
        assert!(job.start.starts_with("Is the opinion"));
        assert_eq!(job.pool[0], ("fine film".into(), "positive".into()));
    }

    #[test]
    fn what_is_no_job_is_named() {
        let error = Job::read("Cargo.toml").err().unwrap();
        assert_eq!(error.to_string(), "Cargo.toml is no job");
    }
}
