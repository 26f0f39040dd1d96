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
/// Examples are asked in turn from `from` on, round and round, and never one that a member was tried on or shows. With
/// one `from` for all that are asked together, those share as many examples as they can. With another one each time,
/// newcomers meet examples that nobody was chosen by, and whose answers nobody has seen who wrote them.
pub fn allocate(
    pool: &Pool,
    alive: &[bool],
    (calls, from): (usize, usize),
    rules: &Rules,
    seed: u64,
) -> Vec<Vec<usize>> {
    let table = Table::of(pool);
    let mut plan = Plan::new(pool, &table, alive, (calls, from));
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
    /// Where the examples begin.
    from: usize,
    /// How far from there the first example stands that a member may still be asked.
    next: Vec<usize>,
    calls: usize,
    asked: Vec<Vec<usize>>,
}

impl<'a> Plan<'a> {
    fn new(
        pool: &'a Pool,
        table: &'a Table,
        alive: &[bool],
        (calls, from): (usize, usize),
    ) -> Self {
        let alive = |m: usize| alive.get(m).copied().unwrap_or(false);
        let mut plan = Self {
            pool,
            table,
            open: (0..table.members()).map(alive).collect(),
            from,
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
            let example = (self.from + self.next[member]) % self.table.examples();
            self.asked[member].push(example);
            self.next[member] += 1;
            self.calls -= 1;
            self.skip(member);
        }
    }

    /// Moves on to an example that the member may be asked, or closes it.
    fn skip(&mut self, member: usize) {
        let (table, examples) = (self.table, &self.pool.examples);
        let (doc, from) = (&self.pool.members[member].doc, self.from);
        let may = |place: &usize| {
            let i = (from + *place) % table.examples();
            !table.tried(member, i) && !doc.shows(examples[i].id)
        };
        let next = (self.next[member]..table.examples()).find(may);
        match next {
            Some(place) => self.next[member] = place,
            None => self.open[member] = false,
        }
    }
}
