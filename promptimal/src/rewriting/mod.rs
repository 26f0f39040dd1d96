//! A trained rewriter at work: prompts in, better prompts out, and the prompt itself where what came out is none.
//!
//! | file | what |
//! | --- | --- |
//! | `find`, `of_run` | its files: a folder, or what a run trained |
//! | `training` | what its training says of it: the base, the words to ask in |
//! | `work` | prompts side by side through the model |
//! | `sample` | a few of them with and without the training |
//! | `judge` | whether what came out is a prompt |

mod find;
mod judge;
mod of_run;
mod sample;
pub mod training;
mod work;

pub use find::{Folder, Found, find};
pub use judge::{Kept, Why, judge};
pub use sample::{GREEDY, Sample};
pub use work::{Asked, Done, How, Next, Rewriter};
