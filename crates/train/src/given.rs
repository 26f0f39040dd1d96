//! What training is given: texts, and a base with what it begins from.

use crate::{
    adapter::Adapter,
    batch::Text,
    error::{Error, Result},
    frozen::Keep,
    network::Network,
    plan::Plan,
};
use domain::hash::Hash;
use model::{base::Base, place::Place};

/// What is learnt from, and what the learning is measured on.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// Learnt from.
    pub train: Vec<Text>,
    /// Measured on, before the first step and after every epoch.
    pub validation: Vec<Text>,
}

/// The base, loaded, and what it is.
pub struct Model {
    /// Its network.
    pub network: Network,
    /// The name that the artefact gives it.
    pub name: String,
    /// SHA-256 of its weights.
    pub sha256: String,
    /// An adapter of the plan's kind to go on from; a new one, unless given.
    pub start: Option<Adapter>,
}

impl Model {
    /// Loads a base for a plan: f32 on the processor.
    ///
    /// # Errors
    /// When its files can not be read.
    pub fn load(base: &mut Base, keep: Keep) -> Result<Self> {
        Self::load_at(base, keep, Place::default())
    }

    /// The same to another place.
    ///
    /// # Errors
    /// As [`Self::load`], and when there is no such place, or no room.
    pub fn load_at(base: &mut Base, keep: Keep, place: Place) -> Result<Self> {
        Ok(Self {
            name: base.name().to_owned(),
            sha256: base.sha256()?,
            network: Network::load_at(base, keep, place)?,
            start: None,
        })
    }

    /// What training begins with.
    pub(crate) fn adapter(&self, plan: &Plan) -> Result<Adapter> {
        let device = self.network.device();
        match &self.start {
            None => {
                let new = Adapter::new(plan.lora.clone(), self.network.config(), plan.seed)?;
                Ok(new.to_device(device)?)
            }
            Some(start) if *start.lora() == plan.lora => Ok(start.to_device(device)?),
            Some(_) => Err(Error::plan(
                "the adapter to go on from has other options: give rank, alpha, dropout and targets as it has them",
            )),
        }
    }

    /// What it is, with what training begins with.
    pub(crate) fn digest(&self, start: &Adapter) -> Result<String> {
        if self.start.is_none() {
            return Ok(self.sha256.clone());
        }
        Ok(format!("{} from {}", self.sha256, start.digest()?))
    }
}

impl Texts {
    /// What the texts are, tokens and all.
    pub(crate) fn digest(&self) -> Hash {
        let bytes = |text: &Text| {
            let prompt = std::iter::once(text.prompt as u32);
            let numbers = prompt.chain(text.ids.iter().copied());
            numbers.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
        };
        let train = self.train.iter().map(bytes);
        let between = std::iter::once(b"validation".to_vec());
        Hash::of(
            train
                .chain(between)
                .chain(self.validation.iter().map(bytes)),
        )
    }
}
