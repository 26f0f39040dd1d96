//! The first rows of a file whose layout nobody has told yet.

use crate::error::RowError;
use crate::formats::{self, Fields};
use crate::input;
use crate::reader::at;
use crate::records::{Broken, Records};
use serde_json::{Map, Value};
use std::path::Path;

/// The first rows of a file as objects, as many as asked for: of CSV (told by the file's name) with its columns as
/// fields, else of JSON lines or a JSON array. Rows that are no objects are passed over.
///
/// # Errors
/// When the file cannot be read, or is neither.
pub fn peek(path: &Path, rows: usize) -> Result<Vec<Map<String, Value>>, RowError> {
    let opened = input::open(path).map_err(|e| Broken::io(1, &e));
    let csv = is_csv(path);
    let cut = opened.and_then(|input| match csv {
        true => formats::csv_rows(input),
        false => Ok((Records::json(input)?, Fields::Json)),
    });
    let (records, fields) = cut.map_err(|broken| at(path, broken))?;
    let mut found = Vec::new();
    // A file of nothing but bad rows is not read to its end.
    for record in records.take(rows.saturating_mul(4)) {
        let object = match record {
            Ok(record) => fields.object(record),
            Err(broken) if broken.fatal => return Err(at(path, broken)),
            Err(_) => continue,
        };
        found.extend(object);
        if found.len() >= rows {
            break;
        }
    }
    Ok(found)
}

fn is_csv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(".csv")
}
