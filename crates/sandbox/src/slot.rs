//! A place where one program at a time runs: a folder, two users, and a warm interpreter for each side.

use crate::{
    error::Unsupported,
    filter,
    options::Options,
    python::{CANDIDATE, CHECKER, FOR_CANDIDATES, FOR_TESTS, Python},
    rules,
    scratch::Scratch,
    zygote::{Start, Zygote},
};
use std::path::Path;

/// What all slots are made from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) python: Python,
    pub(crate) filter: Vec<u8>,
    /// The first user slots drop to; none where this process is no root.
    pub(crate) first_uid: Option<u32>,
}

impl Plan {
    pub(crate) fn new(options: Options, first_uid: Option<u32>) -> Result<Self, Unsupported> {
        Ok(Self {
            python: Python::find(options.python.as_deref(), first_uid)?,
            filter: filter::bytes()?,
            options,
            first_uid,
        })
    }
}

/// One slot.
pub(crate) struct Slot {
    /// Its place among the slots, which its users follow from.
    pub(crate) index: usize,
    pub(crate) candidates: Zygote,
    /// Holds tests. Made when the first answer is judged.
    checker: Option<Zygote>,
    /// Removed after those who could write there are gone.
    pub(crate) scratch: Scratch,
}

impl Slot {
    /// Starts one.
    pub(crate) fn new(plan: &Plan, index: usize) -> Result<Self, Unsupported> {
        let uid = user(plan, index, 0);
        let scratch = Scratch::new(plan.options.scratch.as_deref(), uid)?;
        let candidates = start(plan, (CANDIDATE, FOR_CANDIDATES), uid, Some(scratch.path()))?;
        Ok(Self {
            index,
            candidates,
            checker: None,
            scratch,
        })
    }

    /// Both sides, warm.
    pub(crate) fn sides(&mut self, plan: &Plan) -> Result<(&mut Zygote, &mut Zygote), Unsupported> {
        let checker = match self.checker.take() {
            Some(checker) => checker,
            None => start(plan, (CHECKER, FOR_TESTS), user(plan, self.index, 1), None)?,
        };
        Ok((&mut self.candidates, self.checker.insert(checker)))
    }

    /// Whether it has run as many programs as it should.
    pub(crate) fn worn(&self, plan: &Plan) -> bool {
        self.candidates.forked >= plan.options.recycle
    }
}

fn user(plan: &Plan, index: usize, side: u32) -> Option<u32> {
    Some(plan.first_uid? + 2 * index as u32 + side)
}

fn start(
    plan: &Plan,
    (script, modules): (&str, &[&str]),
    uid: Option<u32>,
    scratch: Option<&Path>,
) -> Result<Zygote, Unsupported> {
    Zygote::start(Start {
        python: &plan.python,
        script,
        modules,
        filter: &plan.filter,
        rules: rules::ruleset(&plan.python, scratch)?,
        uid,
        folder: scratch.unwrap_or(Path::new("/")),
    })
}
