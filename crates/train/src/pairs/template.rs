//! Pairs to tokens: what the model reads, and what it should say.

use super::{Counts, Divided, Pair};
use crate::{
    batch::Text,
    error::{Error, Result},
    given::Texts,
};
use model::{Turn, base::Base};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The words around a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// `<s>[INST] original [/INST] improved </s>`
    #[default]
    Inst,
    /// The model's own chat template: the original from the user, the improved prompt as the reply.
    Chat,
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inst => "inst",
            Self::Chat => "chat",
        })
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "inst" => Ok(Self::Inst),
            "chat" => Ok(Self::Chat),
            other => Err(Error::plan(format!(
                "the template is {other:?}: it is inst or chat"
            ))),
        }
    }
}

impl Template {
    /// What the model reads before it rewrites a prompt.
    ///
    /// # Errors
    /// When the model has no chat template, or it refuses the prompt.
    pub fn prompt(self, base: &Base, original: &str) -> Result<Vec<u32>> {
        if self == Self::Chat {
            return Ok(base.encode_chat(&[Turn::new("user", original)], true)?);
        }
        Ok(base.tokeniser().encode_inst(original)?)
    }

    /// The whole of a pair.
    ///
    /// # Errors
    /// As [`Self::prompt`], and when a model has no token that ends a reply.
    pub fn text(self, base: &Base, pair: &Pair) -> Result<Text> {
        let prompt = self.prompt(base, &pair.original)?;
        let mut ids = prompt.clone();
        match self {
            Self::Inst => {
                let tokeniser = base.tokeniser();
                ids.extend(tokeniser.encode_continuation(&format!(" {} ", pair.improved))?);
                ids.push(tokeniser.end().ok_or_else(|| no_end(base))?);
            }
            Self::Chat => ids.extend(reply(base, pair, &prompt)?),
        }
        Ok(Text {
            ids,
            prompt: prompt.len(),
        })
    }
}

/// What a chat template makes of the improved prompt, up to the token that ends it.
fn reply(base: &Base, pair: &Pair, prompt: &[u32]) -> Result<Vec<u32>> {
    let turns = [
        Turn::new("user", &pair.original),
        Turn::new("assistant", &pair.improved),
    ];
    let whole = base.encode_chat(&turns, false)?;
    let Some(said) = whole.strip_prefix(prompt) else {
        return Err(Error::plan(format!(
            "the chat template of {} shows a question differently before and after its reply: use the template inst",
            base.name()
        )));
    };
    let end = said.iter().position(|id| base.tokeniser().is_end(*id));
    let end = end.ok_or_else(|| no_end(base))?;
    Ok(said[..=end].to_vec())
}

fn no_end(base: &Base) -> Error {
    Error::plan(format!("{} has no token that ends a reply", base.name()))
}

/// The pairs as tokens; those of more than `longest`, or than the model can read, are left out and counted.
///
/// # Errors
/// When a pair can not be encoded, or none is short enough to learn from.
pub fn encode(
    base: &Base,
    divided: &Divided,
    template: Template,
    longest: usize,
) -> Result<(Texts, Counts)> {
    let mut counts = divided.counts;
    let longest = longest.min(base.config().context);
    let mut side = |pairs: &[Pair]| -> Result<Vec<Text>> {
        let mut out = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let text = template.text(base, pair)?;
            match text.ids.len() <= longest {
                true => out.push(text),
                false => counts.too_long += 1,
            }
        }
        Ok(out)
    };
    let texts = Texts {
        train: side(&divided.train)?,
        validation: side(&divided.validation)?,
    };
    counts.train = texts.train.len() as u64;
    counts.validation = texts.validation.len() as u64;
    if texts.train.is_empty() {
        return Err(Error::data(format!(
            "all pairs are longer than {longest} tokens: allow more tokens, or give shorter pairs"
        )));
    }
    Ok((texts, counts))
}
