//! Readers for the data sets people have, near-duplicates and splits.
//!
//! [`open`] turns a [`Source`] into a [`Reader`], an iterator of [`Row`]s that holds one row at a
//! time (or its sample), whatever the size of the file: JSON arrays are read element by element too. Files may be
//! compressed by gzip (told by their first bytes) and may start with a UTF-8 byte order mark.
//!
//! | module | what |
//! | --- | --- |
//! | [`source`] | what to read: path, format, field mapping |
//! | [`error`] | what is wrong with a source or a row, said so that it can be mended |
//! | [`reader`] | the stream of rows, bad rows counted or fatal |
//! | [`sample`] | so many rows of all, drawn by a seed |
//! | `peek` | the first rows of a file whose layout nobody has told yet |
//! | `files`, `input` | which files a path means; bytes out of them |
//! | `records` | lines, CSV records and JSON elements with the line each starts at |
//! | `formats` | a record to a [`domain::example::Example`], one file a format |
//! | [`near`] | near-duplicates: shingles, MinHash, banding |
//! | [`split`] | clusters to train, validation and test |
//!
//! An example's id is a hash of its content ([`domain::example::Example::id`]), so the same row in
//! two files, or twice in one, has one id. Readers yield every row; keeping one of each is the
//! store's job (its key is the id).

pub mod error;
mod files;
mod formats;
mod input;
pub mod near;
mod peek;
pub mod reader;
mod records;
pub mod sample;
pub mod source;
pub mod split;

pub use error::{DatasetError, RowError};
pub use near::{ClusterBuilder, Clusters, cluster, near_text};
pub use peek::peek;
pub use reader::{Reader, Row, Summary, columns, open};
pub use sample::Sample;
pub use source::{AnswerIs, FieldMap, Format, OnBadRow, Source};
pub use split::{BadRatios, Ratios, assign};
