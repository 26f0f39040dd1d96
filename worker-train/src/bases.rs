//! The models that can learn here.

use domain::hash::Hash;
use model::base::Base;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// Files beside the weights that change what a model reads: with others it is another base.
const SIDE: [&str; 4] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

/// Bases by what they are.
#[derive(Clone, Debug, Default)]
pub struct Bases(HashMap<String, PathBuf>);

impl Bases {
    /// Those at these paths: the weights of each are read once, to tell what it is.
    ///
    /// # Errors
    /// A sentence, when one is no base that can be trained.
    pub async fn of(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self, String> {
        let mut found = HashMap::new();
        for path in paths {
            found.insert(describe(path.clone()).await?, path);
        }
        Ok(Self(found))
    }

    /// The path of the base that is this.
    pub fn get(&self, identity: &str) -> Option<&Path> {
        self.0.get(identity).map(PathBuf::as_path)
    }

    /// What they are and where.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.0
            .iter()
            .map(|(id, path)| (id.as_str(), path.as_path()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The place of a base: where it is written, or that of a model of the catalogue, fetched unless it is there.
///
/// # Errors
/// A sentence that names what is known.
pub async fn find(base: &str) -> Result<PathBuf, String> {
    if let Some(path) = here(base).map_err(|why| format!("base {why}"))? {
        return Ok(path);
    }
    let name = base.to_owned();
    tracing::info!(name, "looking for a base");
    let fetch = move || model::catalogue::fetch(&name, &mut |_| {});
    let fetched = tokio::task::spawn_blocking(fetch).await;
    fetched
        .map_err(|e| e.to_string())?
        .map_err(|e| e.to_string())
}

/// The place of a base that is written as a path; `None` of a name of the catalogue, whose model may have to be fetched.
///
/// # Errors
/// A sentence that begins with what was given and names what is known, when it is neither.
pub fn here(base: &str) -> Result<Option<PathBuf>, String> {
    let path = PathBuf::from(base);
    if path.exists() {
        return Ok(Some(path));
    }
    let known = model::catalogue::list();
    if known.iter().any(|entry| entry.name == base) {
        return Ok(None);
    }
    let names: Vec<&str> = known.iter().map(|entry| entry.name).collect();
    Err(format!(
        "{base} is neither a GGUF file or a folder that is here, nor one of the models known by name: {}",
        names.join(", ")
    ))
}

/// What the base at a path is: the same on every machine. Its weights are read once, to hash them.
///
/// # Errors
/// A sentence, when it is no base that can be trained.
pub async fn describe(path: PathBuf) -> Result<String, String> {
    let described = tokio::task::spawn_blocking(move || {
        let of = |e: &dyn std::fmt::Display| format!("base {}: {e}", path.display());
        let base = Base::open(&path).map_err(|e| of(&e))?;
        let weights = base.sha256().map_err(|e| of(&e))?;
        let side = side(&path).map_err(|e| of(&e))?;
        Ok(format!("{weights} {side}"))
    });
    described
        .await
        .unwrap_or_else(|e| Err(format!("a base could not be read: {e}")))
}

/// A hash of the files beside the weights; a GGUF file has none.
fn side(path: &Path) -> std::io::Result<Hash> {
    let mut parts = Vec::new();
    for name in SIDE {
        let file = path.join(name);
        if file.is_file() {
            parts.push(name.as_bytes().to_vec());
            parts.push(std::fs::read(file)?);
        }
    }
    Ok(Hash::of(parts))
}
