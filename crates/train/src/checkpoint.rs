//! Where training stands, in one file: adapter, optimiser, position. Draws derive from the seed and the position, so
//! there is no other state.

use crate::{
    adapter::Adapter,
    error::{Error, Result},
    folder,
    optimiser::{AdamW, Moments},
    plan::Plan,
};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Its name in the folder of the adapter.
pub const FILE: &str = "checkpoint.safetensors";
const NOTE: &str = "promptimal";

/// What a checkpoint belongs to: training goes on only with the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) plan: Plan,
    /// Of the base's weights and of the texts.
    pub(crate) base: String,
    pub(crate) texts: String,
}

/// The losses so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The mean loss of the tokens of each step, before it.
    pub losses: Vec<f64>,
    /// Steps done and the mean loss of the validation tokens after them.
    pub validation: Vec<(usize, f64)>,
}

#[derive(Serialize, Deserialize)]
struct State {
    identity: Identity,
    history: History,
}

/// The checkpoint's file in a folder.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Writes all of it in the place of the one before.
pub(crate) fn save(
    dir: &Path,
    identity: &Identity,
    history: &History,
    (adapter, optimiser): (&Adapter, &AdamW),
) -> Result<()> {
    let mut tensors = BTreeMap::new();
    for (name, var) in adapter.tensors() {
        if let Some(moments) = optimiser.moments.get(&name) {
            let here = |of: &Tensor| of.to_device(&Device::Cpu);
            tensors.insert(format!("first.{name}"), here(&moments.first)?);
            tensors.insert(format!("second.{name}"), here(&moments.second)?);
        }
        tensors.insert(name, var.to_device(&Device::Cpu)?);
    }
    let state = State {
        identity: identity.clone(),
        history: history.clone(),
    };
    let state = serde_json::to_string(&state).map_err(|e| Error::at(dir, e))?;
    let notes = BTreeMap::from([(NOTE.to_owned(), state)]);
    folder::write(&path(dir), &folder::safetensors(&tensors, &notes)?)
}

/// Reads where training stood, into `adapter`; `Ok(None)` where nothing was begun.
///
/// # Errors
/// When the checkpoint can not be read, or belongs to another training.
pub(crate) fn load(
    dir: &Path,
    identity: &Identity,
    adapter: &Adapter,
) -> Result<Option<(History, AdamW)>> {
    let file = path(dir);
    if !file.is_file() {
        return Ok(None);
    }
    let note = folder::note(&file, NOTE)?;
    let note = note.ok_or_else(|| Error::at(&file, "not a checkpoint of this program"))?;
    let state: State = serde_json::from_str(&note)
        .map_err(|e| Error::at(&file, format!("a checkpoint of another version: {e}")))?;
    same(&file, &state.identity, identity)?;
    let mut tensors = folder::tensors(&file)?;
    let mut optimiser = AdamW {
        steps: state.history.losses.len(),
        ..AdamW::default()
    };
    for (name, var) in adapter.tensors() {
        let mut take = |name: &str| {
            let missing = || Error::at(&file, format!("{name} is missing"));
            tensors.remove(name).ok_or_else(missing)
        };
        let there = |tensor: Tensor| tensor.to_device(var.device());
        var.set(&there(take(&name)?)?)?;
        let (first, second) = (format!("first.{name}"), format!("second.{name}"));
        let moments = Moments {
            first: there(take(&first)?)?,
            second: there(take(&second)?)?,
        };
        optimiser.moments.insert(name, moments);
    }
    Ok(Some((state.history, optimiser)))
}

/// Refuses a checkpoint of another training, naming what differs.
fn same(file: &Path, found: &Identity, wanted: &Identity) -> Result<()> {
    let what = if found.base != wanted.base {
        "base"
    } else if found.texts != wanted.texts {
        "set of pairs"
    } else if found.plan != wanted.plan {
        "set of options"
    } else {
        return Ok(());
    };
    Err(Error::at(
        file,
        format!(
            "belongs to a training with another {what}: give another folder, or begin anew (--replace)"
        ),
    ))
}
