//! The proposer's own messages, come back as an instruction or as a rewrite.

use super::{Given, quoted};
use crate::{
    operator::{say::SENTENCES, tags},
    pool::Pool,
    refused::Refused,
    similar::{NEAR, Profile},
    text::{
        mutations, questions, styles,
        turns::{self, Turn},
    },
};
use domain::proposal::fold;
use std::sync::LazyLock;

/// A text of ours: folded, and as written.
type Ours = (String, String);
/// Wordings of worked turns, and how they are compared.
type Turns = Vec<(Profile, &'static str)>;

/// Sentences of ours.
static OURS: LazyLock<Vec<Ours>> = LazyLock::new(|| {
    let said = SENTENCES.iter().chain(&mutations::ALL);
    said.map(|s| (fold(s), (*s).to_owned())).collect()
});

/// Wordings of worked turns: a small proposer likes to repeat them. Thinking styles are fine within an instruction, but
/// are none by themselves.
static TURNS: LazyLock<Turns> = LazyLock::new(|| wordings(&turns::ALL));
/// The same of questions.
static QUESTIONS: LazyLock<Turns> = LazyLock::new(|| wordings(&questions::ALL));

fn wordings(turns: &'static [Turn]) -> Turns {
    let texts = turns
        .iter()
        .flat_map(|t| [t.rough, t.plain, t.better, t.reworded, t.brief]);
    texts.map(|t| (Profile::of(t), t)).collect()
}

pub fn judge(text: &str, pool: &Pool, given: &Given) -> Result<(), Refused> {
    tag(text, given)?;
    sentences(text, OURS.iter().cloned().chain(ways(pool)), given)?;
    turn(text, (&TURNS, &styles::ALL), given)
}

/// Of a rewrite of a question. What the question says itself is never held against it.
pub fn of_rewrite(text: &str, original: &str, pool: &Pool) -> Result<(), Refused> {
    let given = Given::said(original.to_owned());
    tag(text, &given)?;
    let subject = &pool.task.subject;
    let said = SENTENCES.iter().map(|s| subject.said(s));
    let said = said.chain(mutations::OF_QUESTIONS.iter().map(|s| (*s).to_owned()));
    let ours = said.map(|s| (fold(&s), s));
    sentences(text, ours.chain(ways(pool)), &given)?;
    turn(text, (&QUESTIONS, &styles::OF_QUESTIONS), &given)
}

fn tag(text: &str, given: &Given) -> Result<(), Refused> {
    let tag = tags::all(text).find(|tag| !given.raw.contains(tag));
    tag.map_or(Ok(()), |tag| Err(Refused::Tag { tag: quoted(tag) }))
}

/// The mutation prompts of the pool that are long enough to be known again.
fn ways(pool: &Pool) -> impl Iterator<Item = Ours> + '_ {
    let own = pool
        .members
        .iter()
        .filter_map(|m| m.doc.mutation.as_deref());
    own.map(|m| (fold(m), m.to_owned()))
        .filter(|(m, _)| m.split(' ').count() >= 4)
}

fn sentences(text: &str, ours: impl Iterator<Item = Ours>, given: &Given) -> Result<(), Refused> {
    let folded = format!(" {} ", fold(text));
    for (said, written) in ours {
        if folded.contains(&format!(" {said} ")) && !given.says(&said) {
            return Err(Refused::Echo {
                text: quoted(&written),
            });
        }
    }
    Ok(())
}

fn turn(text: &str, (turns, styles): (&Turns, &[&str]), given: &Given) -> Result<(), Refused> {
    let profile = Profile::of(text);
    let repeated = turns.iter().find(|(turn, _)| turn.cosine(&profile) >= NEAR);
    let folded = fold(text);
    let style = styles.iter().copied().find(|style| fold(style) == folded);
    match repeated.map(|(_, turn)| *turn).or(style) {
        Some(said) if !given.says(&fold(said)) => Err(Refused::Echo { text: quoted(said) }),
        _ => Ok(()),
    }
}
