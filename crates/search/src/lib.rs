//! The search for one instruction for a whole data set: `instruct` mode.
//!
//! Everything is a pure function of a [`pool::Pool`] (what was made and how it did) and a seed, so that the same rows
//! give the same plan on any machine. Nothing here asks a model, reads a clock or awaits.
//!
//! | module | what |
//! | --- | --- |
//! | [`pool`] | what is known: members, the examples they were tried on, how they did |
//! | [`race`] | who is asked next, and who is out |
//! | [`bandit`] | which operator makes the next child |
//! | [`choose`] | which member is the best |
//! | [`pareto`] | which member has the next child, and which prompts trade several aims best |

pub mod bandit;
pub mod choose;
mod draws;
pub mod pareto;
pub mod pool;
pub mod race;
