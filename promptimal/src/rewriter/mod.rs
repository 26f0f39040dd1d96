//! A trained rewriter at work: prompts in, better prompts out, and the prompt itself where what came out is none.

mod find;
mod judge;
mod work;

pub use find::{Base, Found, find, trained};
pub use judge::{Kept, Why, judge};
pub use work::{Asked, Done, How, Next, Rewriter};
