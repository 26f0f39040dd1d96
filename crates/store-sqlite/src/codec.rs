//! What SQLite adds to the columns that all adapters have in common.

use serde::Serialize;
pub use store::codec::*;
use store::{Result, StoreError};

/// What the database said.
pub fn db(error: sqlx::Error) -> StoreError {
    StoreError::Backend(error.to_string())
}

/// A batch as one parameter.
pub fn rows<T: Serialize>(rows: &[T]) -> Result<String> {
    serde_json::to_string(rows).map_err(|e| StoreError::Backend(e.to_string()))
}
