//! From clean pairs and a base to what a training is given; everything that can be wrong is told here, before hours are
//! spent.

use crate::{
    error::{Error, Result},
    given::{Model, Texts},
    memory::{self, Memory},
    pairs::{self, Counts, Divided, Template},
    plan::Plan,
};
use model::base::Base;
use std::path::Path;

/// What a training is given.
pub struct Prepared {
    /// The base, loaded.
    pub model: Model,
    /// The pairs as tokens.
    pub texts: Texts,
    /// What became of all rows.
    pub counts: Counts,
}

/// Opens a base, turns pairs into tokens of it, and loads it. `template` and the most tokens of a pair say how they read.
///
/// # Errors
/// When the plan can not be followed, the base is none that can be trained, no pair is short enough, or the memory that is
/// free does not do.
pub fn prepare(
    base: &Path,
    divided: &Divided,
    (template, max_tokens): (Template, usize),
    plan: &Plan,
) -> Result<Prepared> {
    plan.check()?;
    let mut base = Base::open(base)?;
    let (texts, counts) = pairs::encode(&base, divided, template, max_tokens)?;
    let head = (base.vocabulary()?, base.has_head());
    let needed = Memory::estimate(base.config(), head, plan, &texts);
    if let Some(problem) = needed.too_much(memory::available()) {
        return Err(Error::Memory(problem));
    }
    let model = Model::load(&mut base, plan.keep)?;
    Ok(Prepared {
        model,
        texts,
        counts,
    })
}
