//! From a SentencePiece model (`spm.model`) to a tokeniser, as transformers' converter for DeBERTa-v2 does it.
//!
//! The file is a protocol buffer; of its fields we read the pieces with their scores, the normaliser's character map,
//! and the kind of model. The tokeniser is written as a `tokenizer.json` and read by the tokenizers library.

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;
use tokenizers::Tokenizer;

/// Kinds of pieces that become tokens of their own.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
/// The kind of model that DeBERTa-v2 and -v3 use.
const UNIGRAM: u64 = 1;

/// What `tokenizer_config.json` says of the conversion.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    /// Whether text is put in lower case first.
    pub(crate) lower_case: bool,
    /// Whether punctuation stands alone.
    pub(crate) split_by_punct: bool,
}

#[derive(Default)]
struct Model {
    pieces: Vec<(String, f32, u64)>,
    unknown: Option<u64>,
    kind: Option<u64>,
    charsmap: Vec<u8>,
}

/// The tokeniser of an `spm.model`.
pub(crate) fn tokeniser(path: &Path, flags: Flags) -> Result<Tokenizer> {
    let wrong = |e: String| Error::load(format!("{}: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let model = Model::parse(&bytes).ok_or_else(|| wrong("not a SentencePiece model".into()))?;
    let kind = model.kind.unwrap_or(UNIGRAM);
    if kind != UNIGRAM || model.pieces.is_empty() {
        return Err(wrong(format!(
            "the SentencePiece model has {} pieces and is of kind {kind}; a unigram model (kind 1) is needed",
            model.pieces.len()
        )));
    }
    let json = model.json(flags).map_err(wrong)?;
    Tokenizer::from_bytes(json.to_string()).map_err(|e| wrong(e.to_string()))
}

impl Model {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut model = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, Content::Bytes(piece)) => model.pieces.push(parse_piece(piece)?),
                (2, Content::Bytes(trainer)) => {
                    for field in Fields(trainer) {
                        match field? {
                            (3, Content::Number(kind)) => model.kind = Some(kind),
                            (40, Content::Number(id)) => model.unknown = Some(id),
                            _ => {}
                        }
                    }
                }
                (3, Content::Bytes(normaliser)) => {
                    for field in Fields(normaliser) {
                        if let (2, Content::Bytes(map)) = field? {
                            model.charsmap = map.to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        Some(model)
    }

    fn json(&self, flags: Flags) -> Result<Value, String> {
        let id = |text: &str| self.pieces.iter().position(|(piece, ..)| piece == text);
        let special = |text: &str| id(text).ok_or_else(|| format!("the piece {text} is missing"));
        let (cls, sep) = (special("[CLS]")?, special("[SEP]")?);
        let mut added: Vec<Value> = Vec::new();
        for (i, (text, _, kind)) in self.pieces.iter().enumerate() {
            if [CONTROL, USER_DEFINED].contains(kind) {
                added.push(token(i, text, *kind == CONTROL));
            }
        }
        // Tokens that the model's class adds, whatever kind their pieces have.
        for (text, next) in [
            ("[UNK]", None),
            ("[PAD]", None),
            ("[MASK]", Some(self.pieces.len())),
        ] {
            let place = id(text).or(next);
            if let Some(place) = place.filter(|p| added.iter().all(|t| t["id"] != *p)) {
                added.push(token(place, text, true));
            }
        }
        let pieces: Vec<_> = self
            .pieces
            .iter()
            .map(|(text, score, _)| (text.clone(), f64::from(*score)))
            .collect();
        let unknown = self.unknown.unwrap_or(0) as usize;
        let splits = match flags.split_by_punct {
            true => vec![json!({"type": "Punctuation", "behavior": "Isolated"})],
            false => Vec::new(),
        };
        let mut json = unigram(&pieces, unknown, added, (self.normalisers(flags), splits));
        json["post_processor"] = template(cls, sep);
        Ok(json)
    }

    fn normalisers(&self, flags: Flags) -> Vec<Value> {
        let mut out = Vec::new();
        if flags.lower_case {
            out.push(json!({"type": "Lowercase"}));
        }
        out.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
        if !self.charsmap.is_empty() {
            out.push(
                json!({"type": "Precompiled", "precompiled_charsmap": base64(&self.charsmap)}),
            );
        }
        out.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
        out
    }
}

/// A `tokenizer.json`: a unigram vocabulary, the added tokens, and how text is normalised and split before words are
/// cut at spaces. `[CLS]` and `[SEP]` are the pieces 1 and 2.
pub(crate) fn unigram(
    pieces: &[(String, f64)],
    unknown: usize,
    added: Vec<Value>,
    (normalisers, mut splits): (Vec<Value>, Vec<Value>),
) -> Value {
    let vocabulary: Vec<Value> = pieces
        .iter()
        .map(|(text, score)| json!([text, score]))
        .collect();
    let words =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    splits.push(words.clone());
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalisers},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits},
        "post_processor": template(1, 2),
        "decoder": words,
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": false},
    })
}

/// An added token.
pub(crate) fn token(id: usize, text: &str, special: bool) -> Value {
    json!({
        "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": special,
    })
}

/// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`.
fn template(cls: usize, sep: usize) -> Value {
    let special = |text: &str, kind: u32| json!({"SpecialToken": {"id": text, "type_id": kind}});
    let text = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
    let (start, end) = (special("[CLS]", 0), special("[SEP]", 0));
    json!({
        "type": "TemplateProcessing",
        "single": [start, text("A", 0), end],
        "pair": [start, text("A", 0), end, text("B", 1), special("[SEP]", 1)],
        "special_tokens": {
            "[CLS]": {"id": "[CLS]", "ids": [cls], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [sep], "tokens": ["[SEP]"]},
        },
    })
}

fn parse_piece(bytes: &[u8]) -> Option<(String, f32, u64)> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, 1);
    for field in Fields(bytes) {
        match field? {
            (1, Content::Bytes(piece)) => text = String::from_utf8(piece.to_vec()).ok()?,
            (2, Content::Word(bits)) => score = f32::from_bits(bits),
            (3, Content::Number(n)) => kind = n,
            _ => {}
        }
    }
    Some((text, score, kind))
}

/// A field's content by its wire type; what we never look at is a `Number`.
enum Content<'a> {
    Number(u64),
    Word(u32),
    Bytes(&'a [u8]),
}

/// The fields of a message; `None` once where the bytes are no message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut out = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            out |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(out);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Content<'a>)> {
        let key = self.number()?;
        let content = match key & 7 {
            0 => Content::Number(self.number()?),
            1 => self.take(8).map(|_| Content::Number(0))?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Content::Bytes(self.take(length)?)
            }
            5 => Content::Word(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, content))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Content<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), want);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn what_is_no_sentencepiece_model_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spm.model");
        for (bytes, part) in [
            (&b"\x0a\xff\x01x"[..], "not a SentencePiece"),
            (b"", "0 pieces"),
            (b"\x12\x02\x18\x02", "kind 2"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let say = tokeniser(&path, Flags::default()).unwrap_err().to_string();
            assert!(say.contains(part) && say.contains("spm.model"), "{say}");
        }
    }
}
