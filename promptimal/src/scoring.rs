//! Many pairs through a reward model: encoded, put together by length, computed in batches.

use crate::{pairs::Preference, progress};
use anyhow::{Context, bail};
use model::deberta::{Place, RewardModel, batches, folder};

/// Tokens of a batch: a long text alone has hundreds, and more than a few thousand gain nothing.
const BUDGET: usize = 2048;

/// A question with an answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The question.
    pub prompt: String,
    /// The answer.
    pub answer: String,
}

impl Pair {
    /// Both texts of a preference pair, the preferred one first.
    pub fn both(preference: &Preference) -> [Self; 2] {
        [&preference.chosen, &preference.rejected].map(|answer| Self {
            prompt: preference.prompt.clone(),
            answer: answer.clone(),
        })
    }
}

/// What a reward model says of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scored {
    /// The raw reward: any number; rewards of different questions do not compare.
    pub reward: f32,
    /// Tokens that did not fit and were cut off.
    pub cut: usize,
}

/// The reward model of a folder or of the hub, at a place, with a bar while it is fetched.
///
/// # Errors
/// When it cannot be got or loaded; the error says what was found and what is needed.
pub async fn load(name: &str, place: Place) -> anyhow::Result<RewardModel> {
    let owned = name.to_owned();
    let bar = progress::download(name);
    let loaded = tokio::task::spawn_blocking(move || {
        let dir = folder(&owned, &mut |p| bar.show(p.done, p.total))?;
        RewardModel::load_at(&dir, place)
    });
    Ok(loaded.await.context("loading broke off")??)
}

/// Scores all pairs, in order, with a bar; gives the model back. The first pair that cannot be scored ends it: a hole
/// is no score.
///
/// # Errors
/// When a text cannot be encoded, or its reward is no number.
pub async fn all(
    model: RewardModel,
    pairs: Vec<Pair>,
    quiet: bool,
) -> anyhow::Result<(RewardModel, Vec<Scored>)> {
    let scored = tokio::task::spawn_blocking(move || {
        let scored = score(&model, &pairs, quiet)?;
        Ok((model, scored))
    });
    scored.await.context("scoring broke off")?
}

fn score(model: &RewardModel, pairs: &[Pair], quiet: bool) -> anyhow::Result<Vec<Scored>> {
    let mut texts = Vec::with_capacity(pairs.len());
    for (i, pair) in pairs.iter().enumerate() {
        let text = model.encode(&pair.prompt, &pair.answer);
        texts.push(text.with_context(|| format!("text {}", i + 1))?);
    }
    let lengths: Vec<usize> = texts.iter().map(|t| t.ids.len()).collect();
    let bar = progress::count("scoring", pairs.len() as u64, quiet);
    let (mut out, mut done) = (vec![Scored::default(); pairs.len()], 0);
    for batch in batches(&lengths, BUDGET) {
        let ids: Vec<&[u32]> = batch.iter().map(|i| texts[*i].ids.as_slice()).collect();
        for (place, reward) in batch.iter().zip(model.score(&ids)?) {
            if !reward.is_finite() {
                bail!(
                    "text {}: the model gave {reward}, which is no reward: it is broken, or the text is none that it can read",
                    place + 1
                );
            }
            out[*place] = Scored {
                reward,
                cut: texts[*place].cut,
            };
        }
        done += batch.len();
        bar.show(done as u64);
    }
    Ok(out)
}
