//! The slots: taken for one program, given back or thrown away.

use crate::{
    error::{Error, Unsupported},
    slot::{Plan, Slot},
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    idle: Vec<Slot>,
    /// Places without a slot.
    empty: Vec<usize>,
}

/// All slots of a sandbox.
pub(crate) struct Pool {
    pub(crate) plan: Plan,
    state: Mutex<State>,
    freed: Condvar,
}

impl Pool {
    pub(crate) fn new(plan: Plan) -> Self {
        let state = State {
            idle: Vec::new(),
            empty: (0..plan.options.slots.max(1)).rev().collect(),
        };
        Self {
            plan,
            state: Mutex::new(state),
            freed: Condvar::new(),
        }
    }

    /// Has something done in a slot, waiting for one. A slot in which it fails is thrown away, and it is tried once more
    /// in a fresh one.
    pub(crate) fn with<T>(
        &self,
        act: impl Fn(&Plan, &mut Slot) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut lost = match self.once(&act) {
            Err(Error::Lost(why)) => why,
            done => return done,
        };
        lost.push_str(", then ");
        self.once(&act).map_err(|error| match error {
            Error::Lost(why) => Error::Lost(lost + &why),
            other => other,
        })
    }

    fn once<T>(&self, act: impl Fn(&Plan, &mut Slot) -> Result<T, Error>) -> Result<T, Error> {
        let mut taken = self.take()?;
        let Some(slot) = &mut taken.slot else {
            return Err(Error::Lost("no slot was made".to_owned()));
        };
        let done = act(&self.plan, slot);
        // Whatever a program left is gone before the next one comes.
        let clean = slot.scratch.empty().is_ok();
        let usable = !matches!(done, Err(Error::Lost(_) | Error::Resources(_)));
        taken.keep = usable && clean && !slot.worn(&self.plan);
        done
    }

    fn take(&self) -> Result<Taken<'_>, Unsupported> {
        let mut state = self.lock();
        let index = loop {
            if let Some(slot) = state.idle.pop() {
                let index = slot.index;
                return Ok(self.taken(index, Some(slot)));
            }
            if let Some(index) = state.empty.pop() {
                break index;
            }
            state = self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        // From here on the place is given back whatever happens.
        let mut taken = self.taken(index, None);
        taken.slot = Some(Slot::new(&self.plan, index)?);
        Ok(taken)
    }

    fn taken(&self, index: usize, slot: Option<Slot>) -> Taken<'_> {
        Taken {
            pool: self,
            index,
            slot,
            keep: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that somebody uses.
struct Taken<'a> {
    pool: &'a Pool,
    index: usize,
    slot: Option<Slot>,
    keep: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let kept = self.slot.take().filter(|_| self.keep);
        let mut state = self.pool.lock();
        match kept {
            Some(slot) => state.idle.push(slot),
            None => state.empty.push(self.index),
        }
        drop(state);
        self.pool.freed.notify_one();
    }
}
