//! Between columns and domain values, for all adapters.

use crate::{Result, StoreError};
use domain::{call::Reply, candidate::Arm, example::Split};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, str::FromStr};

/// Where a value was read, for messages about rows that make no sense.
#[derive(Clone, Copy)]
pub struct At<'a>(pub &'static str, pub &'a str);

impl At<'_> {
    /// The error that names this row.
    pub fn corrupt(&self, problem: impl Display) -> StoreError {
        StoreError::Corrupt {
            table: self.0,
            row: self.1.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// An id or a hash.
    ///
    /// # Errors
    /// When the text is none.
    pub fn id<T: FromStr<Err: Display>>(&self, text: &str) -> Result<T> {
        text.parse().map_err(|e| self.corrupt(e))
    }

    /// An id or a hash that may be absent.
    ///
    /// # Errors
    /// When the text is none.
    pub fn maybe_id<T: FromStr<Err: Display>>(&self, text: Option<&str>) -> Result<Option<T>> {
        text.map(|t| self.id(t)).transpose()
    }

    /// A word of a closed set.
    ///
    /// # Errors
    /// When `read` does not know the word.
    pub fn word<T>(&self, word: &str, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        read(word).ok_or_else(|| self.corrupt(format!("unknown word {word:?}")))
    }

    /// A JSON column.
    ///
    /// # Errors
    /// When the text is no JSON of this type.
    pub fn json<T: DeserializeOwned>(&self, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|e| self.corrupt(e))
    }

    /// A count.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn number<T: TryFrom<i64>>(&self, n: i64) -> Result<T> {
        T::try_from(n).map_err(|_| self.corrupt(format!("number {n} is out of range")))
    }
}

/// JSON of one value.
///
/// # Errors
/// When the value has no JSON.
pub fn text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Backend(e.to_string()))
}

/// A count as SQL has them; what does not fit is as good as infinite.
pub fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The part of a dataset for a stored word.
pub fn split(word: &str) -> Option<Split> {
    [Split::Train, Split::Validation, Split::Test]
        .into_iter()
        .find(|s| s.as_str() == word)
}

/// The arm for a stored word.
pub fn arm(word: &str) -> Option<Arm> {
    [Arm::Original, Arm::Search, Arm::Placebo]
        .into_iter()
        .find(|a| a.as_str() == word)
}

/// Text without NUL characters, which no text column of either store keeps.
pub fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A reply as its two columns: text for people, and JSON where the text does not say it all.
///
/// # Errors
/// When the reply has no JSON.
pub fn reply_columns(reply: &Reply) -> Result<(Option<String>, Option<String>)> {
    Ok(match reply {
        Reply::Text { text } if !text.contains('\0') => (Some(text.clone()), None),
        Reply::Text { text: nul } => (Some(plain(nul)), Some(text(reply)?)),
        Reply::Scores { .. } => (None, Some(text(reply)?)),
    })
}

/// The reply of two columns.
///
/// # Errors
/// When the JSON is no reply.
pub fn reply(at: At<'_>, text: Option<String>, json: Option<&str>) -> Result<Option<Reply>> {
    match (json, text) {
        (Some(json), _) => at.json(json).map(Some),
        (None, Some(text)) => Ok(Some(Reply::Text { text })),
        (None, None) => Ok(None),
    }
}
