//! What is told of tokens, in the two shapes of OpenAI's API.

use crate::fault::{Answer, Fault};
use model::{Engine, Told};
use serde_json::{Map, Value, json};

/// How many of the likeliest tokens may be asked for.
pub const MOST: usize = 20;

fn piece(engine: &Engine, token: u32) -> Answer<String> {
    let piece = engine.tokeniser().piece(token);
    piece.map_err(|e| Fault::failed(&e.to_string()))
}

/// Without the tokens of a stop text, which are not part of the text.
pub fn within(engine: &Engine, mut told: Vec<Told>, text: &str) -> Answer<Vec<Told>> {
    let tokens: Vec<u32> = told.iter().map(|told| told.token).collect();
    for count in 0..tokens.len() {
        let so_far = engine.tokeniser().decode(&tokens[..count]);
        if so_far.map_err(|e| Fault::failed(&e.to_string()))?.len() >= text.len() {
            told.truncate(count);
            break;
        }
    }
    Ok(told)
}

/// Chat: `{"content": [{"token", "logprob", "bytes", "top_logprobs"}]}`.
pub fn chat(engine: &Engine, told: &[Told]) -> Answer<Value> {
    let one = |token: u32, logprob: f64| -> Answer<Value> {
        let piece = piece(engine, token)?;
        // Half a character has no text to take bytes from.
        let bytes = (!piece.contains('\u{fffd}')).then(|| piece.as_bytes().to_vec());
        Ok(json!({"token": piece, "logprob": logprob, "bytes": bytes}))
    };
    let content = told.iter().map(|told| -> Answer<Value> {
        let mut entry = one(told.token, told.logprob)?;
        let top = told
            .likeliest
            .iter()
            .map(|(token, logprob)| one(*token, *logprob));
        entry["top_logprobs"] = top.collect::<Answer<Vec<Value>>>()?.into();
        Ok(entry)
    });
    Ok(json!({"content": content.collect::<Answer<Vec<Value>>>()?, "refusal": null}))
}

/// Completions: parallel lists. `first` is a token of which nothing can be told: that which begins an echoed prompt.
pub fn completion(
    engine: &Engine,
    first: Option<u32>,
    told: &[Told],
    offset: usize,
) -> Answer<(Value, usize)> {
    let (mut tokens, mut logprobs, mut tops, mut offsets) = (vec![], vec![], vec![], vec![]);
    let mut at = offset;
    let mut push = |token: u32| -> Answer<()> {
        let text = piece(engine, token)?;
        offsets.push(at);
        at += text.chars().count();
        tokens.push(text);
        Ok(())
    };
    if let Some(first) = first {
        push(first)?;
        logprobs.push(Value::Null);
        tops.push(Value::Null);
    }
    for told in told {
        push(told.token)?;
        logprobs.push(told.logprob.into());
        let mut top = Map::new();
        for (token, logprob) in &told.likeliest {
            // Halves of characters all look the same: the likeliest of them is told of.
            let entry = top.entry(piece(engine, *token)?);
            entry.or_insert_with(|| (*logprob).into());
        }
        tops.push(top.into());
    }
    let value = json!({
        "tokens": tokens, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets,
    });
    Ok((value, at))
}
