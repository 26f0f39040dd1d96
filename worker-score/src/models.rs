//! From `[models]` to reward models on their threads.

use crate::{
    reward::{Encoded, RewardModel},
    scorer::{Batching, Scorer},
};
use domain::hash::Hash;
use model::deberta::{self, Numbers, Place, Processor};
use spec::{Device, Dtype, Model, Paths, Reward};
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
};

/// A reward model that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("models.{name}: {message}")]
pub struct Unusable {
    /// Its name.
    pub name: String,
    /// What is wrong, and the way out.
    pub message: String,
}

/// Loads the reward models among these, each folder once for each place, and moves each to its thread: by name.
///
/// # Errors
/// When one cannot be loaded, or the system gives no thread.
pub async fn build<'a>(
    models: impl IntoIterator<Item = (&'a String, &'a Model)>,
    paths: &Paths,
    batching: Batching,
) -> Result<HashMap<String, Scorer>, Unusable> {
    let mut loaded: HashMap<(PathBuf, Place), Scorer> = HashMap::new();
    let mut built = HashMap::new();
    for (name, model) in models {
        let Model::Reward(reward) = model else {
            continue;
        };
        let unusable = |message| Unusable {
            name: name.clone(),
            message,
        };
        let found = paths.models.get(name).cloned();
        let path = folder(reward, found).await.map_err(unusable)?;
        let place = place(reward);
        let key = (path.clone(), place);
        let scorer = match loaded.get(&key) {
            Some(scorer) => scorer.clone(),
            None => {
                let model = load(path, place).await.map_err(unusable)?;
                let thread = |e| format!("no thread for it: {e}");
                let started = Scorer::start(model, batching).map_err(thread);
                loaded
                    .entry(key)
                    .or_insert(started.map_err(unusable)?)
                    .clone()
            }
        };
        built.insert(name.clone(), scorer);
    }
    Ok(built)
}

/// The folder of a reward model: where it was found, or fetched from the hub into the cache, unless it is there.
///
/// # Errors
/// A sentence, when it cannot be got.
pub async fn folder(reward: &Reward, found: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(found) = found {
        return Ok(found);
    }
    let name = reward.model.clone();
    tracing::info!(model = name, "looking for a reward model");
    let fetched = tokio::task::spawn_blocking(move || deberta::folder(&name, &mut |_| {}));
    let fetched = fetched.await.map_err(|e| e.to_string())?;
    fetched.map_err(|e| e.to_string())
}

/// Loads the reward model of a folder.
///
/// # Errors
/// A sentence, when the files are no reward model that can be run here.
async fn load(folder: PathBuf, place: Place) -> Result<Deberta, String> {
    let loading = tokio::task::spawn_blocking(move || Deberta::load(&folder, place));
    loading
        .await
        .unwrap_or_else(|e| Err(format!("it could not be loaded: {e}")))
}

/// A DeBERTa reward model of `model::deberta`.
struct Deberta {
    model: deberta::RewardModel,
    identity: String,
}

impl Deberta {
    fn load(folder: &Path, place: Place) -> Result<Self, String> {
        let model = deberta::RewardModel::load_at(folder, place).map_err(|e| e.to_string())?;
        let identity = identity(folder, model.description())?;
        Ok(Self { model, identity })
    }
}

/// Where a reward model computes: as the spec says.
pub fn place(reward: &Reward) -> Place {
    let processor = match reward.device {
        Device::Cpu => Processor::Cpu,
        Device::Cuda => Processor::Cuda,
    };
    let numbers = match reward.dtype {
        Dtype::F32 => Numbers::F32,
        Dtype::Bf16 => Numbers::Bf16,
        Dtype::F16 => Numbers::F16,
    };
    Place { processor, numbers }
}

/// What the reward model of a folder is, without loading it: for whoever plans and never scores. It reads the weights
/// once, to hash them.
///
/// # Errors
/// A sentence, when the folder holds no reward model.
pub async fn describe(folder: PathBuf, place: Place) -> Result<String, String> {
    let reading = tokio::task::spawn_blocking(move || {
        let about = deberta::RewardDescription::of(&folder, place).map_err(|e| e.to_string())?;
        identity(&folder, &about)
    });
    reading
        .await
        .unwrap_or_else(|e| Err(format!("it could not be read: {e}")))
}

fn identity(folder: &Path, about: &deberta::RewardDescription) -> Result<String, String> {
    let side = side(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let deberta::RewardDescription {
        sha256,
        engine,
        context,
        ..
    } = about;
    Ok(format!("{engine} {sha256} {context} {side}"))
}

/// A hash of the files beside the weights: other sizes, or other tokens, are another model.
fn side(folder: &Path) -> std::io::Result<Hash> {
    let mut parts = Vec::new();
    for name in [
        "config.json",
        "tokenizer.json",
        "spm.model",
        "tokenizer_config.json",
    ] {
        let file = folder.join(name);
        if file.is_file() {
            parts.push(name.as_bytes().to_vec());
            parts.push(Hash::of_reader(File::open(file)?)?.0.to_vec());
        }
    }
    Ok(Hash::of(parts))
}

impl RewardModel for Deberta {
    type Text = Vec<u32>;

    fn identity(&self) -> &str {
        &self.identity
    }

    fn encode(&self, question: &str, answer: &str) -> Result<Encoded<Self::Text>, String> {
        let encoded = self
            .model
            .encode(question, answer)
            .map_err(|e| e.to_string())?;
        Ok(Encoded {
            tokens: encoded.ids.len(),
            cut: encoded.cut > 0,
            text: encoded.ids,
        })
    }

    fn score(&mut self, batch: &[Self::Text]) -> Result<Vec<f32>, String> {
        let texts: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
        self.model.score(&texts).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scorer::{Pair, Scored, Unscored};
    use std::fs;

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/fixtures/deberta-v3")
    }

    fn reward(path: &str) -> Model {
        Model::Reward(Reward {
            model: path.to_owned(),
            device: Device::Cpu,
            dtype: Dtype::F32,
        })
    }

    async fn built(models: &[(String, Model)]) -> Result<HashMap<String, Scorer>, Unusable> {
        let models = models.iter().map(|(n, m)| (n, m));
        build(models, &Paths::default(), Batching::default()).await
    }

    fn pair(question: &str, words: usize) -> Pair {
        Pair {
            question: question.to_owned(),
            answer: "some words ".repeat(words),
        }
    }

    /// A tiny model with random weights: what is scored alone has the same bits beside others, and in any order.
    #[tokio::test]
    async fn a_reward_does_not_depend_on_what_is_scored_with_it() {
        let path = fixture().display().to_string();
        let models = [
            ("a".to_owned(), reward(&path)),
            ("b".to_owned(), reward(&path)),
        ];
        let models = models.iter().map(|(n, m)| (n, m));
        let batching = Batching { tokens: 100 };
        let built = build(models, &Paths::default(), batching).await.unwrap();
        let scorer = &built["a"];
        assert_eq!(
            scorer.identity(),
            describe(fixture(), Place::default()).await.unwrap()
        );
        let pairs: Vec<Pair> = (0..20).map(|i| pair("Why?", (i * 7) % 23)).collect();
        let bits = |got: Vec<Result<Scored, Unscored>>| -> Vec<u64> {
            let bits = |r: Result<Scored, Unscored>| r.unwrap().reward.to_bits();
            got.into_iter().map(bits).collect()
        };
        let together = bits(scorer.score(pairs.clone()).await);
        let mut alone = Vec::new();
        for one in &pairs {
            alone.extend(bits(built["b"].score(vec![one.clone()]).await));
        }
        assert_eq!(together, alone);
        let mut turned = bits(scorer.score(pairs.into_iter().rev().collect()).await);
        turned.reverse();
        assert_eq!(together, turned);
        let different: std::collections::BTreeSet<_> = together.iter().collect();
        assert!(different.len() > 10, "the rewards say nothing");
    }

    #[tokio::test]
    async fn a_long_text_is_cut_and_told() {
        let path = fixture().display().to_string();
        let models = [("a".to_owned(), reward(&path))];
        let built = built(&models).await.unwrap();
        let got = built["a"]
            .score(vec![pair("Why?", 5_000), pair("Why?", 2)])
            .await;
        let cut: Vec<bool> = got.into_iter().map(|r| r.unwrap().cut).collect();
        assert_eq!(cut, [true, false]);
    }

    /// The name of the folder says nothing; what is in it does.
    #[tokio::test]
    async fn other_tokens_are_another_model() {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixture()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let here = describe(fixture(), Place::default()).await.unwrap();
        assert_eq!(
            describe(dir.path().to_owned(), Place::default())
                .await
                .unwrap(),
            here
        );
        fs::write(
            dir.path().join("tokenizer_config.json"),
            "{\"model_max_length\": 64}",
        )
        .unwrap();
        assert_ne!(
            describe(dir.path().to_owned(), Place::default())
                .await
                .unwrap(),
            here
        );
    }

    #[tokio::test]
    async fn what_cannot_be_loaded_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let models = [("judge".to_owned(), reward(&path))];
        let error = built(&models).await.unwrap_err().to_string();
        assert!(
            error.starts_with("models.judge: ") && error.contains(&path),
            "{error}"
        );
    }
}
