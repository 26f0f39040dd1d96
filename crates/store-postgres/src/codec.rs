//! What PostgreSQL adds to the columns that all adapters have in common.

use domain::hash::Hash;
pub use store::codec::*;
use store::{Result, StoreError};
use uuid::Uuid;

/// The example of a grade that has none.
pub const NO_EXAMPLE: Uuid = Uuid::nil();

/// A hash as its column has it.
pub fn of_hash(hash: Hash) -> Uuid {
    Uuid::from_bytes(hash.0)
}

/// The hash of a column.
pub fn to_hash(column: Uuid) -> Hash {
    Hash(column.into_bytes())
}

/// Text without NUL characters, where there is one.
pub fn maybe_plain(text: Option<&str>) -> Option<String> {
    text.map(plain)
}

/// Columns of a batch must be equally long: `unnest` fills a short one up with NULL and says nothing.
pub fn equally_long(lengths: &[usize]) -> Result<()> {
    match lengths.iter().all(|l| Some(l) == lengths.first()) {
        true => Ok(()),
        false => Err(StoreError::Backend(format!(
            "the columns of a batch have {lengths:?} rows"
        ))),
    }
}

/// Splits a batch of rows into its columns, which are then equally long.
macro_rules! columns {
    ($rows:expr => $($name:ident: $get:expr),+ $(,)?) => {
        $(let $name: Vec<_> = $rows.iter().map($get).collect();)+
        $crate::codec::equally_long(&[$($name.len()),+])?;
    };
}
pub(crate) use columns;
