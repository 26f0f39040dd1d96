//! SentencePiece's BPE with byte fallback (Kudo and Richardson 2018), from a GGUF vocabulary.
//!
//! Neighbouring pieces are joined, the pair with the best score first and the leftmost of equals,
//! until no pair is in the vocabulary; characters that are in no piece become byte tokens.

use crate::{
    error::{Error, Result},
    gguf::Header,
};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
};

/// The character that stands for a space.
const SPACE: char = '\u{2581}';
/// GGUF's kind of byte tokens, `<0x00>` to `<0xFF>`.
const BYTE: f64 = 6.0;

/// A vocabulary of scored pieces.
pub(crate) struct SentencePiece {
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    scores: Vec<f32>,
    /// The token of each byte.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// Whether a text gets a space in front.
    space_first: bool,
}

/// A possible join of two neighbours, by score and then by place.
struct Join {
    score: f32,
    left: usize,
    right: usize,
    /// Length of the joined text: a join is stale when either side has changed since.
    len: usize,
}

impl Ord for Join {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Join {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Join {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Join {}

/// A run of text between joins; `len` is 0 once it was joined to the one before.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    len: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl SentencePiece {
    /// Reads `tokenizer.ggml.scores` and the kinds of tokens.
    pub(crate) fn from_gguf(header: &Header, tokens: &[String], kinds: &[f64]) -> Result<Self> {
        let scores = header.numbers("tokenizer.ggml.scores")?;
        if scores.len() != tokens.len() {
            return Err(header.unsupported(
                "length of tokenizer.ggml.scores",
                scores.len(),
                tokens.len(),
            ));
        }
        let mut bytes = vec![None; 256];
        for (id, (token, kind)) in tokens.iter().zip(kinds).enumerate() {
            let byte = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
            if let (true, Some(byte)) = (
                *kind == BYTE,
                byte.and_then(|b| u8::from_str_radix(b, 16).ok()),
            ) {
                bytes[usize::from(byte)] = Some(id as u32);
            }
        }
        Ok(Self {
            ids: tokens
                .iter()
                .enumerate()
                .map(|(i, t)| (t.clone(), i as u32))
                .collect(),
            pieces: tokens.to_vec(),
            scores: scores.into_iter().map(|s| s as f32).collect(),
            bytes,
            unknown: header.token("tokenizer.ggml.unknown_token_id"),
            space_first: header
                .flag("tokenizer.ggml.add_space_prefix")
                .unwrap_or(true),
        })
    }

    /// The tokens of `text`, which stands at the `start` of a text or goes on after other text.
    pub(crate) fn encode(&self, text: &str, start: bool) -> Result<Vec<u32>> {
        let lead = if self.space_first && start { " " } else { "" };
        let text = format!("{lead}{text}").replace(' ', &SPACE.to_string());
        let mut ids = Vec::new();
        for symbol in self.join_all(&text) {
            self.push(&text[symbol.start..symbol.start + symbol.len], &mut ids)?;
        }
        Ok(ids)
    }

    fn push(&self, piece: &str, ids: &mut Vec<u32>) -> Result<()> {
        if let Some(id) = self.ids.get(piece) {
            ids.push(*id);
            return Ok(());
        }
        for byte in piece.bytes() {
            let id = self.bytes[usize::from(byte)]
                .or(self.unknown)
                .ok_or_else(|| {
                    Error::job(format!(
                        "{piece:?} is not in the vocabulary, which has no byte tokens"
                    ))
                })?;
            ids.push(id);
        }
        Ok(())
    }

    /// Joins characters to pieces; what is left stands in order.
    fn join_all(&self, text: &str) -> Vec<Symbol> {
        let count = text.chars().count();
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(i, (start, c))| Symbol {
                start,
                len: c.len_utf8(),
                before: i.checked_sub(1),
                after: (i + 1 < count).then_some(i + 1),
            })
            .collect();
        let mut joins: BinaryHeap<Join> = (1..count)
            .filter_map(|i| self.join(text, &symbols, i - 1, i))
            .collect();
        while let Some(join) = joins.pop() {
            let (left, right) = (symbols[join.left], symbols[join.right]);
            if left.len == 0 || right.len == 0 || left.len + right.len != join.len {
                continue;
            }
            symbols[join.left].len = join.len;
            symbols[join.left].after = right.after;
            symbols[join.right].len = 0;
            if let Some(after) = right.after {
                symbols[after].before = Some(join.left);
                joins.extend(self.join(text, &symbols, join.left, after));
            }
            if let Some(before) = left.before {
                joins.extend(self.join(text, &symbols, before, join.left));
            }
        }
        symbols.retain(|s| s.len > 0);
        symbols
    }

    fn join(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Join> {
        let len = symbols[left].len + symbols[right].len;
        let id = self.ids.get(&text[symbols[left].start..][..len])?;
        Some(Join {
            score: self.scores[*id as usize],
            left,
            right,
            len,
        })
    }

    /// The text of one token within a text.
    pub(crate) fn piece(&self, token: u32) -> Result<String> {
        let text = self.decode(&[token])?;
        let piece = self.pieces.get(token as usize);
        let spaced = piece.is_some_and(|piece| piece.starts_with(SPACE));
        // Decoding takes the first space of a text off; this is no beginning.
        Ok(if spaced && self.space_first {
            format!(" {text}")
        } else {
            text
        })
    }

    /// The text of `tokens`.
    pub(crate) fn decode(&self, tokens: &[u32]) -> Result<String> {
        let mut bytes = Vec::new();
        for id in tokens {
            if let Some(byte) = self.bytes.iter().position(|b| b == &Some(*id)) {
                bytes.push(byte as u8);
                continue;
            }
            let piece = self.pieces.get(*id as usize);
            let piece = piece.ok_or_else(|| Error::job(format!("no token has the id {id}")))?;
            bytes.extend(piece.replace(SPACE, " ").bytes());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lead = if self.space_first { " " } else { "" };
        Ok(text.strip_prefix(lead).unwrap_or(&text).to_owned())
    }
}
