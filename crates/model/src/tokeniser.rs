//! Text to tokens and back.
//!
//! A tokeniser is built from a GGUF header or read from a `tokenizer.json`. Special tokens are matched
//! here and not by the tokenizers library, so that a caller decides where text may become one: in the
//! words of a chat template, never in the words of a person ([`crate::chat`]).

use crate::{
    error::{Error, Result},
    gguf::Header,
    sentencepiece::SentencePiece,
};
use std::{collections::BTreeSet, path::Path};
use tokenizers::{
    AddedToken, PreTokenizerWrapper, Tokenizer,
    models::bpe::{BPE, Vocab},
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
    tokenizer::SplitDelimiterBehavior,
};

/// Texts that end a turn by convention, whatever the file's metadata say.
const TURN_ENDS: [&str; 6] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end|>",
    "</s>",
];

/// GGUF's kinds of tokens that matter here.
const CONTROL: f64 = 3.0;
const USER_DEFINED: f64 = 4.0;

enum Kind {
    Bpe(Box<Tokenizer>),
    SentencePiece(SentencePiece),
}

/// Turns text into tokens and back.
pub struct Tokeniser {
    kind: Kind,
    /// Special tokens by text, longest first.
    specials: Vec<(String, u32)>,
    /// The token that starts a text, if the model has one.
    pub(crate) bos: Option<u32>,
    /// Whether bare text starts with [`Tokeniser::bos`].
    pub(crate) add_bos: bool,
    /// Tokens that end a reply.
    ends: BTreeSet<u32>,
}

impl Tokeniser {
    /// Builds the tokeniser that a GGUF header describes.
    ///
    /// # Errors
    /// When the vocabulary is of a kind that is not supported; the kind is named.
    pub(crate) fn from_gguf(header: &Header) -> Result<Self> {
        let tokens = header.texts("tokenizer.ggml.tokens")?;
        let kinds = header
            .numbers("tokenizer.ggml.token_type")
            .unwrap_or_default();
        let of_kind = |wanted: f64| {
            let pairs = tokens.iter().zip(&kinds).enumerate();
            pairs
                .filter(move |(_, (_, k))| **k == wanted)
                .map(|(i, (t, _))| (t.clone(), i as u32))
        };
        let kind = match header.text("tokenizer.ggml.model")?.as_str() {
            "gpt2" => {
                let user: Vec<_> = of_kind(USER_DEFINED).map(|(t, _)| t).collect();
                Kind::Bpe(Box::new(byte_level_bpe(header, &tokens, &user)?))
            }
            "llama" => Kind::SentencePiece(SentencePiece::from_gguf(header, &tokens, &kinds)?),
            other => {
                let needed = "gpt2 (byte-level BPE) or llama (SentencePiece)";
                return Err(header.unsupported("tokenizer.ggml.model", other, needed));
            }
        };
        let spm = matches!(kind, Kind::SentencePiece(_));
        let eos =
            ["eos", "eot", "eom"].map(|e| header.token(&format!("tokenizer.ggml.{e}_token_id")));
        let bos = header.token("tokenizer.ggml.bos_token_id");
        let add_bos = header.flag("tokenizer.ggml.add_bos_token").unwrap_or(spm);
        let specials = of_kind(CONTROL).collect();
        Ok(Self::assemble(
            kind,
            specials,
            eos.into_iter().flatten(),
            (bos, add_bos),
        ))
    }

    /// Reads a `tokenizer.json`; `bos` and `eos` are texts from its neighbours, `ends` further ids.
    pub(crate) fn from_json(
        path: &Path,
        bos: Option<&str>,
        eos: Option<&str>,
        ends: &[u32],
    ) -> Result<Self> {
        let fail = |e: &dyn std::fmt::Display| Error::load(format!("{}: {e}", path.display()));
        let mut inner = Tokenizer::from_file(path).map_err(|e| fail(&e))?;
        inner.set_encode_special_tokens(true);
        let added = inner.get_added_tokens_decoder();
        let specials = added
            .iter()
            .filter(|(_, t)| t.special)
            .map(|(i, t)| (t.content.clone(), *i));
        let specials = specials.collect();
        let id = |text: Option<&str>| text.and_then(|t| inner.token_to_id(t));
        let (bos, eos) = (id(bos), id(eos));
        // Whether the file's post-processor starts texts with a special token, as Llama's does.
        let started = inner.encode("", true).map_err(|e| fail(&e))?;
        let add_bos = bos.is_some() && started.get_ids().first().copied() == bos;
        let ends: Vec<_> = eos.into_iter().chain(ends.iter().copied()).collect();
        Ok(Self::assemble(
            Kind::Bpe(Box::new(inner)),
            specials,
            ends,
            (bos, add_bos),
        ))
    }

    fn assemble(
        kind: Kind,
        mut specials: Vec<(String, u32)>,
        ends: impl IntoIterator<Item = u32>,
        (bos, add_bos): (Option<u32>, bool),
    ) -> Self {
        specials.retain(|(text, _)| !text.is_empty());
        specials.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        let by_name = specials
            .iter()
            .filter(|(text, _)| TURN_ENDS.contains(&text.as_str()));
        let ends = ends.into_iter().chain(by_name.map(|(_, id)| *id)).collect();
        Self {
            kind,
            specials,
            bos,
            add_bos,
            ends,
        }
    }

    /// Tokens of plain text at the start of a text: nothing in it becomes a special token.
    ///
    /// # Errors
    /// When the text can not be encoded.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_at(text, true)
    }

    /// Tokens of plain text that goes on after other text.
    ///
    /// # Errors
    /// When the text can not be encoded.
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_at(text, false)
    }

    fn encode_at(&self, text: &str, start: bool) -> Result<Vec<u32>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        match &self.kind {
            Kind::Bpe(inner) => {
                let encoded = inner.encode_fast(text, false);
                let encoded =
                    encoded.map_err(|e| Error::job(format!("text can not be encoded: {e}")))?;
                Ok(encoded.get_ids().to_vec())
            }
            Kind::SentencePiece(inner) => inner.encode(text, start),
        }
    }

    /// Tokens of an instruction in the words `<s>[INST] … [/INST]`, up to where the reply starts.
    ///
    /// # Errors
    /// When the text can not be encoded.
    pub fn encode_inst(&self, instruction: &str) -> Result<Vec<u32>> {
        let mut ids: Vec<u32> = self.bos.into_iter().collect();
        ids.extend(self.encode(&format!("[INST] {instruction} [/INST]"))?);
        Ok(ids)
    }

    /// The text of one token as it stands within a text; of a special token its name. Bytes that are no UTF-8 become
    /// U+FFFD.
    ///
    /// # Errors
    /// When the token is not in the vocabulary.
    pub fn piece(&self, token: u32) -> Result<String> {
        if let Some(name) = self.special_text(Some(token)) {
            return Ok(name.to_owned());
        }
        match &self.kind {
            Kind::Bpe(_) => self.decode(&[token]),
            Kind::SentencePiece(inner) => inner.piece(token),
        }
    }

    /// Tokens of text in which special tokens are written out, except after a `guard` character:
    /// guards are dropped, and what follows one is plain text.
    ///
    /// # Errors
    /// When the text can not be encoded.
    pub fn encode_with_specials(&self, text: &str, guard: Option<char>) -> Result<Vec<u32>> {
        let (mut ids, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(next) = rest.chars().next() {
            if Some(next) == guard {
                rest = &rest[next.len_utf8()..];
                plain.extend(rest.chars().next());
                rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
            } else if let Some((special, id)) = self.special_at(rest) {
                ids.extend(self.encode(&plain)?);
                plain.clear();
                ids.push(*id);
                rest = &rest[special.len()..];
            } else {
                plain.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        ids.extend(self.encode(&plain)?);
        Ok(ids)
    }

    fn special_at(&self, text: &str) -> Option<&(String, u32)> {
        self.specials
            .iter()
            .find(|(special, _)| text.starts_with(special.as_str()))
    }

    /// Whether a special token can begin with `c`.
    pub(crate) fn starts_special(&self, c: char) -> bool {
        self.specials
            .iter()
            .any(|(special, _)| special.starts_with(c))
    }

    /// The text of `tokens`, without special ones. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// When a token is not in the vocabulary.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        let special = |id: &u32| self.specials.iter().any(|(_, s)| s == id);
        let plain: Vec<u32> = tokens.iter().copied().filter(|id| !special(id)).collect();
        match &self.kind {
            Kind::Bpe(inner) => {
                let text = inner.decode(&plain, true);
                text.map_err(|e| Error::job(format!("tokens can not be decoded: {e}")))
            }
            Kind::SentencePiece(inner) => inner.decode(&plain),
        }
    }

    /// Whether `token` ends a reply.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// A token that ends a reply: what chat templates call `eos_token`.
    pub fn end(&self) -> Option<u32> {
        let special = |id: &&u32| self.special_text(Some(**id)).is_some();
        self.ends.iter().find(special).copied()
    }

    /// The text of a special token.
    pub(crate) fn special_text(&self, id: Option<u32>) -> Option<&str> {
        let found = self.specials.iter().find(|(_, s)| Some(*s) == id);
        found.map(|(text, _)| text.as_str())
    }

    /// A token that ends a reply, as text: what chat templates call `eos_token`.
    pub(crate) fn end_text(&self) -> Option<&str> {
        self.special_text(self.end())
    }
}

/// GPT-2's way to cut text into words before merging, in the words of the model's `pre` key.
fn pre_tokeniser(header: &Header) -> Result<PreTokenizerWrapper> {
    // Llama 3 and Qwen 2 differ in how many digits stand together.
    let modern = |digits: &str| {
        format!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
    let pre = header
        .text("tokenizer.ggml.pre")
        .unwrap_or_else(|_| "default".into());
    match pre.as_str() {
        "gpt-2" => Ok(ByteLevel::new(false, true, true).into()),
        "smollm" => {
            let words = ByteLevel::new(false, true, true);
            Ok(Sequence::new(vec![Digits::new(true).into(), words.into()]).into())
        }
        "default" => {
            let words = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
            split(&[r"[\p{P}\$\+<=>\^~\|]+", words, r"\p{N}+", "[0-9][0-9][0-9]"])
        }
        "llama-bpe" | "llama3" | "llama-v3" => split(&[&modern(r"\p{N}{1,3}")]),
        "qwen2" => split(&[&modern(r"\p{N}")]),
        other => {
            let needed = "one of default, gpt-2, smollm, llama-bpe, qwen2";
            Err(header.unsupported("tokenizer.ggml.pre", format!("{other:?}"), needed))
        }
    }
}

/// Cuts by each pattern in turn, then turns the words into bytes.
fn split(patterns: &[&str]) -> Result<PreTokenizerWrapper> {
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    for pattern in patterns {
        let split = Split::new(
            SplitPattern::Regex((*pattern).to_owned()),
            SplitDelimiterBehavior::Isolated,
            false,
        );
        let refused = |e| Error::load(format!("the word pattern {pattern:?} is refused: {e}"));
        steps.push(split.map_err(refused)?.into());
    }
    steps.push(ByteLevel::new(false, true, false).into());
    Ok(Sequence::new(steps).into())
}

/// Byte-level BPE (Radford et al. 2019) from the header's vocabulary and merges.
fn byte_level_bpe(header: &Header, tokens: &[String], user: &[String]) -> Result<Tokenizer> {
    let fail = |e: tokenizers::Error| {
        Error::load(format!(
            "{}: the vocabulary is refused: {e}",
            header.path.display()
        ))
    };
    let merges = header.texts("tokenizer.ggml.merges")?;
    let merges = merges.iter().filter_map(|m| m.split_once(' '));
    let merges = merges.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    let vocab: Vocab = tokens
        .iter()
        .enumerate()
        .map(|(i, t)| (t.clone(), i as u32))
        .collect();
    let whole_words = header
        .text("tokenizer.ggml.pre")
        .is_ok_and(|p| p.starts_with("llama"));
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(whole_words);
    let mut inner = Tokenizer::new(bpe.build().map_err(fail)?);
    inner.with_pre_tokenizer(Some(pre_tokeniser(header)?));
    inner.with_decoder(Some(ByteLevel::new(false, true, true)));
    let user = user
        .iter()
        .map(|t| AddedToken::from(t.clone(), false).normalized(false));
    inner.add_tokens(user.collect::<Vec<_>>()).map_err(fail)?;
    Ok(inner)
}
