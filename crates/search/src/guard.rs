//! Which prompts are refused before they are tried.
//!
//! Every candidate passes here, whoever wrote it. What the user said (the description, the labels, the texts to keep, the
//! start prompts) is never held against a prompt: the search may use it again.
//!
//! | file | refuses |
//! | --- | --- |
//! | here | what is empty, too long, lacks what has to be kept or has what may not be there; what is known already |
//! | `slots` | slots and placeholders that nothing fills, another frame around the instruction |
//! | `echo` | the proposer's tags and orders, worked turns of ours, mutation prompts and thinking styles |
//! | `copies` | train examples in the instruction, and their answers |
//! | `parser` | one certain answer whatever the input is, labels alone, no words at all |
//!
//! The rules compare folded words ([`domain::proposal::fold`]). They are made for English and harmless elsewhere.

mod copies;
mod echo;
mod parser;
mod slots;

pub(crate) use echo::of_rewrite;

use crate::{
    pool::{Pool, Task},
    refused::Refused,
};
use domain::{
    operator::shortened,
    prompt::PromptDoc,
    proposal::{fingerprint, fold},
};
use std::collections::BTreeSet;

/// Texts are quoted in refusals up to here, characters.
const QUOTED_CHARS: usize = 80;

/// Whether a prompt may be tried.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn judge(doc: &PromptDoc, pool: &Pool) -> Result<(), Refused> {
    let text = doc.instruction.as_deref().unwrap_or_default();
    let given = Given::of(pool);
    form(doc, text, &pool.task)?;
    slots::judge(doc, text, pool, &given)?;
    echo::judge(text, pool, &given)?;
    parser::judge(text, pool)?;
    copies::judge(text, pool, &given)?;
    known(doc, pool)
}

/// What the user said: nothing of it is held against a prompt.
struct Given {
    /// As written.
    raw: String,
    /// The same folded, with a space on either side.
    folded: String,
}

impl Given {
    fn of(pool: &Pool) -> Self {
        let task = &pool.task;
        let starts = pool.members.iter().filter(|m| m.operator.is_none());
        let said = std::iter::once(task.description.as_str())
            .chain(task.labels.iter().map(String::as_str))
            .chain(task.must_keep.iter().map(String::as_str))
            .chain(starts.map(|m| m.words()));
        Self::said(said.collect::<Vec<_>>().join("\n"))
    }

    fn said(raw: String) -> Self {
        // Texts are folded one by one: no stretch of words runs from one into the next.
        let folded: Vec<String> = raw.lines().map(fold).collect();
        Self {
            folded: format!(" {} ", folded.join(" \n ")),
            raw,
        }
    }

    /// Whether these folded words stand in it.
    fn says(&self, words: &str) -> bool {
        self.folded.contains(&format!(" {words} "))
    }
}

fn quoted(text: &str) -> String {
    shortened(text.trim(), QUOTED_CHARS)
}

fn form(doc: &PromptDoc, text: &str, task: &Task) -> Result<(), Refused> {
    if !text.chars().any(char::is_alphanumeric) {
        return Err(Refused::Empty { text: quoted(text) });
    }
    let (chars, most) = (text.chars().count(), task.max_chars);
    if chars > most {
        return Err(Refused::TooLong { chars, most });
    }
    let missing = task.must_keep.iter().find(|k| !text.contains(k.as_str()));
    if let Some(missing) = missing {
        return Err(Refused::Missing {
            text: quoted(missing),
        });
    }
    let lower = text.to_lowercase();
    let stands = |f: &&String| !f.is_empty() && lower.contains(&f.to_lowercase());
    if let Some(forbidden) = task.must_not_contain.iter().find(stands) {
        return Err(Refused::Forbidden {
            text: quoted(forbidden),
        });
    }
    shots(doc, task.max_shots)
}

fn shots(doc: &PromptDoc, most: usize) -> Result<(), Refused> {
    let shots = doc.shots.len();
    if shots > most {
        return Err(Refused::TooManyShots { shots, most });
    }
    let mut seen = BTreeSet::new();
    for shot in &doc.shots {
        if !seen.insert(shot.example) || shot.output.trim().is_empty() {
            let example = shot.example.to_string();
            return Err(Refused::BadShot { example });
        }
    }
    Ok(())
}

/// The same prompt as a member's but for looks. The order of demonstrations matters to a model, so it does here.
fn known(doc: &PromptDoc, pool: &Pool) -> Result<(), Refused> {
    let print = |d: &PromptDoc| fingerprint(d.instruction.as_deref().unwrap_or_default());
    let own = print(doc);
    let same = |d: &PromptDoc| {
        d.shots == doc.shots && (&d.system, &d.user) == (&doc.system, &doc.user) && print(d) == own
    };
    match pool.members.iter().position(|m| same(&m.doc)) {
        Some(member) => Err(Refused::Known { member }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
