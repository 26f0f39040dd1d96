//! The words of Promptimal as types, and the search as pure functions.
//!
//! Nothing here does IO, reads a clock or awaits: everything is a function of its arguments, so that
//! the same rows and the same seed give the same plan on any machine.
//!
//! | module | what |
//! | --- | --- |
//! | [`ids`] | run, target, candidate and task identifiers (UUID v7 and v5) |
//! | [`hash`] | content hashes, answer keys, and the seeds derived from them |
//! | [`example`] | examples, splits |
//! | [`prompt`] | the candidate document and how it is rendered to messages |
//! | [`candidate`] | candidates, targets, lineage |
//! | [`call`] | what is asked of a model and what it said |
//! | [`grade`] | graders and grades |
//! | [`run`] | runs, rounds, steps and their states |
//! | [`operator`] | ways to make candidates: the scored trajectory, paraphrase |
//! | [`proposal`] | reading a proposer's reply |
//! | [`leak`] | does a rewrite give the answer away? |
//! | [`judge`] | which of two answers a model prefers, asked in both orders |
//! | [`reward`] | what a reward says, and how much of it is length |
//! | [`select`] | mining the hardest, choosing winners |
//! | [`stats`] | intervals, paired tests, false discovery rate |
//! | [`tuning`] | how a rewriter is trained |

pub mod call;
pub mod candidate;
pub mod example;
pub mod grade;
pub mod hash;
pub mod ids;
pub mod judge;
pub mod leak;
pub mod operator;
pub mod prompt;
pub mod proposal;
pub mod reward;
pub mod run;
pub mod select;
pub mod stats;
pub mod tuning;
