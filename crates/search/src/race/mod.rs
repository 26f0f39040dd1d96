//! Who is asked next, and who is out.
//!
//! Who is asked together meets the same examples, so that any two can be compared on what both met.
//! [`dropped`] is a question of validity: it says which members cannot win, at a stated risk, however often it is asked.
//! [`allocate`] is one of efficiency: it asks those of whom more should be known, and owes no guarantee.

mod allocate;
pub(crate) mod belief;
mod drop;
mod steady;
pub(crate) mod table;
mod triangle;
mod variance;

pub use allocate::{Span, allocate};
pub use drop::{Drop, dropped};

/// How a race is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Examples that a member is asked at a time, and a newcomer at first.
    pub block: usize,
    /// The risk that the best member is ever dropped, in `(0, 1)`.
    pub alpha: f64,
    /// About how many members the search will have. Only shares the risk out: right for any number, sharpest where the
    /// guess is right.
    pub members: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            block: 10,
            alpha: 0.1,
            members: 50,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
