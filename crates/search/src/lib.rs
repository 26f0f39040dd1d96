//! The search as pure functions: for one instruction for a whole data set (`instruct` mode), and the operators and
//! learned weights by which single questions are rewritten (`rewrite` mode).
//!
//! Everything is a pure function of a [`pool::Pool`] (what was made and how it did) and a seed, so that the same rows
//! give the same plan on any machine. Nothing here asks a model, reads a clock or awaits.
//!
//! | module | what |
//! | --- | --- |
//! | [`pool`] | what is known: members, the examples they were tried on, how they did |
//! | [`bandit`] | which operator makes the next child |
//! | [`pareto`] | which member has the next child, and which prompts trade several aims best |
//! | [`tournament`] | the same in a population of a fixed size, and who leaves it |
//! | [`operator`] | ways to make a candidate: what a proposer is told, how its reply is read, what is made without one |
//! | [`guard`] | which prompts are refused before they are tried |
//! | [`refused`] | why a reply or a prompt is refused |
//! | [`similar`] | how alike two texts are |
//! | [`race`] | who is asked next, and who is out |
//! | [`choose`] | which member is the best |

pub mod bandit;
pub mod choose;
mod draws;
pub mod guard;
pub mod operator;
pub mod pareto;
pub mod pool;
pub mod race;
pub mod refused;
pub mod similar;
mod text;
pub mod tournament;
