//! From clean pairs and a base to what a training is given; everything that can be wrong is told here, before hours are
//! spent.

use crate::{
    error::{Error, Result},
    given::{Model, Texts},
    memory::{self, Memory},
    pairs::{self, Counts, Divided, Template},
    plan::Plan,
};
use model::{
    base::Base,
    place::{Numbers, Place, Processor},
};
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

/// Where a training is computed: in `numbers`, or in what suits the processor.
///
/// # Errors
/// When there is no such device, or its numbers are too coarse: told before anything is read.
pub fn place(processor: Processor, numbers: Option<Numbers>) -> Result<Place> {
    let usual = match processor {
        Processor::Cpu => Numbers::F32,
        Processor::Cuda => Numbers::Bf16,
    };
    let numbers = numbers.unwrap_or(usual);
    if numbers == Numbers::F16 {
        return Err(Error::plan(
            "training in f16 would lose small gradients: give --dtype bf16, or f32",
        ));
    }
    let place = Place { processor, numbers };
    place.open()?;
    Ok(place)
}

/// Opens a base, turns pairs into tokens of it, and loads it to where it is computed with. `template` and the most tokens
/// of a pair say how they read.
///
/// # Errors
/// When the plan can not be followed, the base is none that can be trained, no pair is short enough, or the memory that is
/// free does not do.
pub fn prepare(
    base: &Path,
    divided: &Divided,
    (template, max_tokens): (Template, usize),
    (plan, place): (&Plan, Place),
) -> Result<Prepared> {
    plan.check()?;
    let mut base = Base::open(base)?;
    let (texts, counts) = pairs::encode(&base, divided, template, max_tokens)?;
    let head = (base.vocabulary()?, base.has_head());
    let needed = Memory::estimate(base.config(), head, plan, &texts);
    // What a device has free, nobody tells before it is asked for.
    let available = match place.processor {
        Processor::Cpu => memory::available(),
        Processor::Cuda => None,
    };
    if let Some(problem) = needed.too_much(available) {
        return Err(Error::Memory(problem));
    }
    let model = Model::load_at(&mut base, plan.keep, place)?;
    Ok(Prepared {
        model,
        texts,
        counts,
    })
}
