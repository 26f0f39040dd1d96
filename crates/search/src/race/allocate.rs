//! Who is asked next.

use super::{Rules, belief::Belief, table::Table};
use crate::{draws::Draws, pool::Pool};

/// How often the challenger is drawn anew before the leader is asked alone.
const TRIES: usize = 30;

/// For each member the examples to ask it now, in order; at most `calls` in all.
///
/// Members without a trial get their first block, the earliest members first. What is left goes block by block to
/// one of two members by top-two Thompson sampling (Russo 2016).
///
/// Examples are asked in turn from [`Span::from`] on, round and round among those that are open, and never one that a member was
/// tried on or shows. All that are asked together share as many examples as they can.
pub fn allocate(
    pool: &Pool,
    alive: &[bool],
    (calls, span): (usize, Span),
    rules: &Rules,
    seed: u64,
) -> Vec<Vec<usize>> {
    let table = Table::of(pool);
    let mut plan = Plan::new(pool, &table, alive, (calls, span));
    let block = rules.block.max(1);
    for m in 0..table.members() {
        if table.count(m) == 0 {
            plan.ask(m, block);
        }
    }
    if plan.calls > 0 && plan.any() {
        let belief = Belief::of(pool, &table);
        let mut draws = Draws::of("allocate", seed);
        while plan.calls > 0 {
            let Some(m) = top_two(&belief, &plan, &mut draws) else {
                break;
            };
            plan.ask(m, block);
        }
    }
    plan.asked
}

/// Which examples may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: usize,
    /// How many of the pool's examples are open: the first of them.
    pub open: usize,
}

impl Span {
    /// Of all examples, from the first on.
    pub const ALL: Self = Self {
        from: 0,
        open: usize::MAX,
    };
    /// One example in so many is kept back for the end.
    const KEPT_BACK: usize = 4;

    /// Of so many examples in a round that is one of those that make new prompts (`Some`), or one of the last (`None`).
    ///
    /// While there are new prompts each round begins one block further on: newcomers meet examples that fewer of their
    /// ancestors were chosen by. A quarter is kept back, and the last rounds begin there, all at the same place: whoever leads
    /// by then leads by luck in part, on examples that happened to be easy for it, and its kin shares both. What they are all
    /// asked now nobody has been chosen by.
    pub fn of(examples: usize, round: Option<usize>, rules: &Rules) -> Self {
        let open = examples - examples / Self::KEPT_BACK;
        match round {
            Some(round) => Self {
                from: round * rules.block % open.max(1),
                open,
            },
            None => Self {
                from: open % examples.max(1),
                open: examples,
            },
        }
    }
}

fn top_two(belief: &Belief, plan: &Plan<'_>, draws: &mut Draws) -> Option<usize> {
    let leader = plan.best(&belief.draw(draws))?;
    if draws.unit() < 0.5 {
        return Some(leader);
    }
    let again = |_| plan.best(&belief.draw(draws)).filter(|m| *m != leader);
    (0..TRIES).find_map(again).or(Some(leader))
}

/// Questions that are handed out.
struct Plan<'a> {
    pool: &'a Pool,
    table: &'a Table,
    /// Whether a member may be asked more.
    open: Vec<bool>,
    span: Span,
    /// How far from there the first example stands that a member may still be asked.
    next: Vec<usize>,
    calls: usize,
    asked: Vec<Vec<usize>>,
}

impl<'a> Plan<'a> {
    fn new(pool: &'a Pool, table: &'a Table, alive: &[bool], (calls, span): (usize, Span)) -> Self {
        let open = span.open.min(table.examples());
        let alive = |m: usize| alive.get(m).copied().unwrap_or(false);
        let mut plan = Self {
            pool,
            table,
            open: (0..table.members()).map(alive).collect(),
            span: Span { open, ..span },
            next: vec![0; table.members()],
            calls,
            asked: vec![Vec::new(); table.members()],
        };
        (0..table.members()).for_each(|m| plan.skip(m));
        plan
    }

    fn any(&self) -> bool {
        self.open.contains(&true)
    }

    fn best(&self, means: &[f64]) -> Option<usize> {
        let open = (0..means.len()).filter(|m| self.open[*m]);
        open.max_by(|a, b| means[*a].total_cmp(&means[*b]).then(b.cmp(a)))
    }

    /// Hands a member up to `count` questions.
    fn ask(&mut self, member: usize, count: usize) {
        for _ in 0..count.min(self.calls) {
            if !self.open[member] {
                break;
            }
            let example = (self.span.from + self.next[member]) % self.span.open;
            self.asked[member].push(example);
            self.next[member] += 1;
            self.calls -= 1;
            self.skip(member);
        }
    }

    /// Moves on to an example that the member may be asked, or closes it.
    fn skip(&mut self, member: usize) {
        let (table, examples) = (self.table, &self.pool.examples);
        let (doc, span) = (&self.pool.members[member].doc, self.span);
        let may = |place: &usize| {
            let i = (span.from + *place) % span.open;
            !table.tried(member, i) && !doc.shows(examples[i].id)
        };
        let next = (self.next[member]..span.open).find(may);
        match next {
            Some(place) => self.next[member] = place,
            None => self.open[member] = false,
        }
    }
}
