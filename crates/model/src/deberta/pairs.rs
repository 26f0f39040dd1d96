//! A question and its answer as one text: `[CLS] question [SEP] answer [SEP]`.
//!
//! Encoded as transformers does it with a tokeniser read from the same file: special tokens written in a text are
//! special tokens, and of a pair that is too long the longer text loses tokens at its end until both are equally long
//! (`longest_first`).

use super::spm::{self, Flags};
use crate::{
    error::{Error, Result},
    safetensors::read_json,
};
use serde_json::Value;
use std::path::Path;
use tokenizers::{
    PostProcessor, Tokenizer,
    utils::truncation::{TruncationParams, truncate_encodings},
};

/// A text pair as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids with the special ones.
    pub ids: Vec<u32>,
    /// Tokens that did not fit.
    pub cut: usize,
}

/// A tokeniser of text pairs.
pub(crate) struct Pairs {
    inner: Tokenizer,
    /// The most tokens of a pair, with the special ones.
    longest: usize,
}

impl Pairs {
    /// Reads `tokenizer.json`, else `spm.model`; `context` is how many tokens the model reads.
    pub(crate) fn open(dir: &Path, context: usize) -> Result<Self> {
        let side = match dir.join("tokenizer_config.json") {
            file if file.is_file() => read_json(&file)?,
            _ => Value::Null,
        };
        let (ready, pieces) = (dir.join("tokenizer.json"), dir.join("spm.model"));
        let mut inner = if ready.is_file() {
            Tokenizer::from_file(&ready)
                .map_err(|e| Error::load(format!("{}: {e}", ready.display())))?
        } else if pieces.is_file() {
            let flag = |key: &str| side[key].as_bool().unwrap_or(false);
            let flags = Flags {
                lower_case: flag("do_lower_case"),
                split_by_punct: flag("split_by_punct"),
            };
            spm::tokeniser(&pieces, flags)?
        } else {
            return Err(Error::load(format!(
                "{}: no tokeniser: tokenizer.json or spm.model is needed",
                dir.display()
            )));
        };
        // What a file says of lengths is the business of whoever wrote it.
        inner.with_padding(None);
        let cleared = inner.with_truncation(None).map(|_| ());
        cleared.map_err(|e| Error::load(format!("{}: {e}", dir.display())))?;
        let told = side["model_max_length"]
            .as_u64()
            .map_or(context, |n| n as usize);
        let pairs = Self {
            inner,
            longest: told.min(context),
        };
        pairs.checked(dir)
    }

    fn checked(self, dir: &Path) -> Result<Self> {
        let marks = self.marks();
        if marks == 0 || self.longest <= marks {
            return Err(Error::load(format!(
                "{}: the tokeniser sets {marks} special tokens around a text pair, and a pair may have {} tokens: \
                 a DeBERTa tokeniser ([CLS] A [SEP] B [SEP]) is needed",
                dir.display(),
                self.longest
            )));
        }
        Ok(self)
    }

    /// Special tokens around a pair.
    fn marks(&self) -> usize {
        self.inner
            .get_post_processor()
            .map_or(0, |p| p.added_tokens(true))
    }

    /// The highest token id and one.
    pub(crate) fn vocabulary(&self) -> usize {
        self.inner
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(0, |id| id as usize + 1)
    }

    /// Encodes a pair.
    pub(crate) fn encode(&self, question: &str, answer: &str) -> Result<Encoded> {
        let fail = |e| Error::job(format!("text can not be encoded: {e}"));
        let one = |text: &str| self.inner.encode_fast(text, false).map_err(fail);
        let (question, answer) = (one(question)?, one(answer)?);
        let whole = question.len() + answer.len();
        let params = TruncationParams {
            max_length: self.longest - self.marks(),
            ..TruncationParams::default()
        };
        let (question, answer) =
            truncate_encodings(question, Some(answer), &params).map_err(fail)?;
        let kept = question.len() + answer.as_ref().map_or(0, |a| a.len());
        let ids = self
            .inner
            .post_process(question, answer, true)
            .map_err(fail)?
            .get_ids()
            .to_vec();
        Ok(Encoded {
            ids,
            cut: whole - kept,
        })
    }
}
