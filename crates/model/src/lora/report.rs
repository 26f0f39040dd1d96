//! What an adapter's training says of it, in a file beside the adapter.

use crate::error::{Error, Result};
use serde_json::Value;
use std::{fs, io, path::Path};

/// The file's name in the adapter's folder.
pub const REPORT: &str = "training.json";

/// What the training of a folder's adapter says; `None` where it says nothing. The training of a run has it under `trained`,
/// one by hand at the top.
///
/// # Errors
/// When the file is there and can not be read.
pub fn report(dir: &Path) -> Result<Option<Value>> {
    let file = dir.join(REPORT);
    let fail = |e: &dyn std::fmt::Display| Error::load(format!("{}: {e}", file.display()));
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(&e)),
    };
    let mut said: Value =
        serde_json::from_str(&text).map_err(|e| fail(&format!("no report of a training: {e}")))?;
    let of_run = said.get_mut("trained").map(Value::take);
    Ok(Some(of_run.unwrap_or(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_reports_are_read_and_none_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            fs::write(dir.path().join(REPORT), text).unwrap();
            report(dir.path()).map(|said| said.unwrap()["template"].clone())
        };
        assert!(report(dir.path()).unwrap().is_none());
        assert_eq!(said(r#"{"template": "chat"}"#).unwrap(), "chat");
        assert_eq!(
            said(r#"{"trained": {"template": "chat"}}"#).unwrap(),
            "chat"
        );
        assert_eq!(said("[]").unwrap(), Value::Null);
        assert!(said("{").unwrap_err().to_string().contains(REPORT));
    }
}
