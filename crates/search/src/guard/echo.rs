//! The proposer's own messages, come back as an instruction.

use super::{Given, quoted};
use crate::{
    operator::{say::SENTENCES, tags},
    pool::Pool,
    refused::Refused,
    similar::{NEAR, Profile},
    text::{mutations, styles, turns},
};
use domain::proposal::fold;
use std::sync::LazyLock;

/// Sentences of ours, folded, with the text as written.
static OURS: LazyLock<Vec<(String, &str)>> = LazyLock::new(|| {
    let said = SENTENCES.iter().chain(&mutations::ALL);
    said.map(|s| (fold(s), *s)).collect()
});

/// Instructions of worked turns: a small proposer likes to repeat them. Thinking styles are fine within an instruction,
/// but are none by themselves.
static TURNS: LazyLock<Vec<(Profile, &str)>> = LazyLock::new(|| {
    let texts = turns::ALL
        .iter()
        .flat_map(|t| [t.rough, t.plain, t.better, t.reworded, t.brief]);
    texts.map(|t| (Profile::of(t), t)).collect()
});

pub fn judge(text: &str, pool: &Pool, given: &Given) -> Result<(), Refused> {
    let tag = tags::all(text).find(|tag| !given.raw.contains(tag));
    if let Some(tag) = tag {
        return Err(Refused::Tag { tag: quoted(tag) });
    }
    let folded = format!(" {} ", fold(text));
    let own = pool.members.iter().filter_map(|m| m.mutation.as_deref());
    let own = own
        .map(|m| (fold(m), m))
        .filter(|(m, _)| m.split(' ').count() >= 4);
    let all = OURS.iter().map(|(f, s)| (f.clone(), *s)).chain(own);
    for (said, written) in all {
        if folded.contains(&format!(" {said} ")) && !given.says(&said) {
            return Err(Refused::Echo {
                text: quoted(written),
            });
        }
    }
    turn(text, given)
}

fn turn(text: &str, given: &Given) -> Result<(), Refused> {
    let profile = Profile::of(text);
    let repeated = TURNS.iter().find(|(turn, _)| turn.cosine(&profile) >= NEAR);
    let folded = fold(text);
    let style = styles::ALL.iter().find(|style| fold(style) == folded);
    match repeated.map(|(_, turn)| turn).or(style) {
        Some(said) if !given.says(&fold(said)) => Err(Refused::Echo { text: quoted(said) }),
        _ => Ok(()),
    }
}
