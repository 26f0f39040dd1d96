//! A small vocabulary of pieces, learned from texts: SentencePiece's unigram model as the tokenizers library trains it.

use super::super::spm::{token, unigram};
use crate::error::{Error, Result};
use serde_json::{Value, json};
use tokenizers::{
    AddedToken, Tokenizer,
    models::{
        TrainerWrapper,
        unigram::{Unigram, UnigramTrainer},
    },
};

/// The special tokens; their ids are their places.
pub(crate) const SPECIAL: [&str; 5] = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"];
/// Words of more characters say nothing about pieces.
const LONGEST_PIECE: usize = 16;

/// The trainer's step between the scores of characters that no piece needs.
const STEP: f64 = 1e-4;

/// A `tokenizer.json` whose vocabulary has at most `size` pieces, learned from `texts`.
pub(crate) fn learn<'t>(texts: impl Iterator<Item = &'t str> + Send, size: usize) -> Result<Value> {
    let refused =
        |e: tokenizers::Error| Error::load(format!("the vocabulary can not be learned: {e}"));
    let special = SPECIAL.map(|text| AddedToken::from(text, true));
    let trainer = UnigramTrainer::builder()
        .vocab_size(u32::try_from(size).unwrap_or(u32::MAX))
        .special_tokens(special.to_vec())
        .unk_token(Some("[UNK]".to_owned()))
        .max_piece_length(LONGEST_PIECE)
        .show_progress(false)
        .build();
    let trainer =
        trainer.map_err(|e| Error::load(format!("the vocabulary can not be learned: {e}")))?;
    let start = SPECIAL.map(|text| (text.to_owned(), 0.0)).to_vec();
    let bare = Tokenizer::from_bytes(whole(&start).to_string()).map_err(refused)?;
    let mut learner = Tokenizer::new(Unigram::default());
    learner
        .with_normalizer(bare.get_normalizer().cloned())
        .map_err(refused)?;
    learner.with_pre_tokenizer(bare.get_pre_tokenizer().cloned());
    learner
        .train(&mut TrainerWrapper::from(trainer), texts.map(str::to_owned))
        .map_err(refused)?;
    let learned: Value = serde_json::from_str(&learner.to_string(false).map_err(refused)?)
        .map_err(|e| Error::load(format!("the vocabulary can not be read back: {e}")))?;
    let entry = |v: &Value| Some((v[0].as_str()?.to_owned(), v[1].as_f64()?));
    let mut pieces: Vec<(String, f64)> = learned["model"]["vocab"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(entry)
        .collect();
    pieces.retain(|(text, _)| !SPECIAL.contains(&text.as_str()));
    settle(&mut pieces);
    Ok(whole(&[start, pieces].concat()))
}

/// Takes chance out of the trainer's result: it adds up in no fixed order, and gives characters that no piece needs
/// scores just above the lowest one in the order of a hash table.
fn settle(pieces: &mut [(String, f64)]) {
    let single = |text: &str| text.chars().count() == 1;
    let lowest = pieces.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let singles = pieces.iter().filter(|p| single(&p.0)).count() as f64;
    for (text, score) in pieces.iter_mut() {
        if single(text) && *score <= lowest + STEP * singles {
            *score = lowest;
        }
        *score = (*score * 1e6).round() / 1e6;
    }
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
}

/// The tokeniser with this vocabulary. Text is tidied as transformers' own DeBERTa tokeniser does.
fn whole(vocabulary: &[(String, f64)]) -> Value {
    let added = SPECIAL
        .iter()
        .enumerate()
        .map(|(i, text)| token(i, text, true))
        .collect();
    let tidy = vec![
        json!({"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "}),
        json!({"type": "NFC"}),
        json!({"type": "Strip", "strip_left": false, "strip_right": true}),
    ];
    unigram(vocabulary, 3, added, (tidy, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_become_pieces_and_any_text_can_be_encoded() {
        // A piece is found by the words that share it.
        let texts = [
            "the other mother gathers there, and then they bathe",
            "the kettle settles, the nettle rattles in the battle",
            "then the weather withers them, and the feather is theirs",
        ];
        let json = learn(texts.iter().copied().cycle().take(60), 80).unwrap();
        let tokeniser = Tokenizer::from_bytes(json.to_string()).unwrap();
        for (i, text) in SPECIAL.iter().enumerate() {
            assert_eq!(tokeniser.token_to_id(text), Some(i as u32));
        }
        assert!(tokeniser.get_vocab_size(true) <= 80);
        let encoding = tokeniser
            .encode(("the kettle", "there\n\nof 雨"), true)
            .unwrap();
        let tokens = encoding.get_tokens();
        assert!(tokens.len() < "the kettle there of 雨".len(), "{tokens:?}");
        assert_eq!(encoding.get_ids().first(), Some(&1));
        assert_eq!(encoding.get_ids().iter().filter(|id| **id == 2).count(), 2);
        assert!(encoding.get_ids().contains(&3), "{tokens:?}");
        assert_eq!(
            json,
            learn(texts.iter().copied().cycle().take(60), 80).unwrap()
        );
    }
}
