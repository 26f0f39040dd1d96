//! Items of reported tasks: as they were planned, and closed when their answers (and grades) are stored.

use super::{Known, Seat};
use crate::{
    Tx,
    codec::{At, NO_EXAMPLE, columns, to_hash},
    fault::{Fault, db},
    tasks::lock_rounds,
};
use sqlx::query;
use std::collections::{HashMap, HashSet};
use store::verdict::Places;
use uuid::Uuid;

/// An item as it was planned.
pub struct Planned {
    pub round_id: i64,
    pub ordinal: i64,
    pub key: Uuid,
    /// That of its grade.
    pub example: Uuid,
    /// Name and version.
    pub grader: Option<(String, String)>,
    pub open: bool,
}

/// The items of reported tasks.
pub async fn planned(tx: &mut Tx, known: &[Known<'_>]) -> Result<HashMap<Seat, Planned>, Fault> {
    let seqs: Vec<i64> = known.iter().map(|k| k.task.seq).collect();
    let found = query!(
        r#"SELECT task_seq AS "task_seq!", place AS "place!", round_id, ordinal, key,
                  coalesce(example_id, $2) AS "example!", grader, grader_version, state = 'open' AS "open!"
             FROM items WHERE task_seq = ANY($1)"#,
        &seqs,
        NO_EXAMPLE
    );
    let found = db(found.fetch_all(&mut **tx)).await?;
    let items = found.into_iter().map(|row| {
        let planned = Planned {
            round_id: row.round_id,
            ordinal: row.ordinal,
            key: row.key,
            example: row.example,
            grader: row.grader.zip(row.grader_version),
            open: row.open,
        };
        ((row.task_seq, row.place), planned)
    });
    Ok(items.collect())
}

/// What a batch of reports does to the items of its tasks.
#[derive(Default)]
pub struct Closing {
    /// Keys of all items: others may wait for them, also for one that somebody else answered and this report says nothing of.
    keys: Vec<Uuid>,
    /// The rounds of all tasks.
    tasks_rounds: Vec<i64>,
    /// Round and number of the items whose answers (and grades) are stored.
    rounds: Vec<i64>,
    ordinals: Vec<i64>,
    /// Tasks with other open items: whether what those ask is stored, the database knows.
    others: Vec<i64>,
}

impl Closing {
    /// `stored` says of an item whether its answer, and its grade if it has one, is known to be stored.
    pub fn of(
        accepted: &[&Known<'_>],
        planned: &HashMap<Seat, Planned>,
        stored: impl Fn(Seat, &Planned) -> bool,
    ) -> Self {
        let mut closing = Self {
            tasks_rounds: accepted.iter().map(|k| k.round_id).collect(),
            ..Self::default()
        };
        let tasks: HashSet<i64> = accepted.iter().map(|k| k.task.seq).collect();
        let items = planned.iter().filter(|(seat, _)| tasks.contains(&seat.0));
        let mut done = Vec::new();
        for (seat, item) in items {
            closing.keys.push(item.key);
            match (item.open, stored(*seat, item)) {
                (false, _) => {}
                (true, true) => done.push((item.round_id, item.ordinal)),
                (true, false) => closing.others.push(seat.0),
            }
        }
        // As they lie in the table.
        done.sort_unstable();
        (closing.rounds, closing.ordinals) = done.into_iter().unzip();
        closing.others.sort_unstable();
        closing.others.dedup();
        closing
    }

    /// Closes the items whose answers (and grades) are stored now: those of these tasks, and those that wait for an
    /// equal item. Equal items of other tasks are closed when their task is claimed or reported.
    pub async fn close(&self, tx: &mut Tx) -> Result<u64, Fault> {
        let waiting = lock(tx, &self.keys, &self.tasks_rounds).await?;
        let close = query!(
            "UPDATE items i SET state = 'done' FROM unnest($1::bigint[], $2::bigint[]) d (round_id, ordinal)
              WHERE i.round_id = d.round_id AND i.ordinal = d.ordinal AND i.state = 'open'",
            &self.rounds,
            &self.ordinals
        );
        let mut done = db(close.execute(&mut **tx)).await?.rows_affected();
        if !self.others.is_empty() {
            done += close_of_tasks(tx, &self.others).await?;
        }
        Ok(done + close_waiting(tx, &waiting).await?)
    }

    /// Places and keys of the items that are still open, by task.
    pub async fn open_places(&self, tx: &mut Tx) -> Result<HashMap<i64, Places>, Fault> {
        let mut out: HashMap<i64, Places> = HashMap::new();
        if self.others.is_empty() {
            return Ok(out);
        }
        let found = query!(
            r#"SELECT task_seq AS "task_seq!", place AS "place!", key
                 FROM items WHERE task_seq = ANY($1) AND state = 'open'"#,
            &self.others
        );
        for row in db(found.fetch_all(&mut **tx)).await? {
            let name = row.task_seq.to_string();
            let places = out.entry(row.task_seq).or_default();
            places.insert(At("items", &name).number(row.place)?, to_hash(row.key));
        }
        Ok(out)
    }
}

/// An item of a task, and the key it asks.
pub struct Place {
    pub task_seq: i64,
    pub key: Uuid,
}

/// Closes the items of tasks whose answers (and grades) are stored, and those that wait for these keys.
pub async fn close_items(tx: &mut Tx, places: &[Place], rounds: &[i64]) -> Result<u64, Fault> {
    let keys: Vec<Uuid> = places.iter().map(|p| p.key).collect();
    let waiting = lock(tx, &keys, rounds).await?;
    let mut seqs: Vec<i64> = places.iter().map(|p| p.task_seq).collect();
    seqs.dedup();
    let done = close_of_tasks(tx, &seqs).await?;
    Ok(done + close_waiting(tx, &waiting).await?)
}

/// Takes all locks that are needed until the transaction ends: of the items that wait for these keys, then of their rounds
/// and of `rounds`. Returns round and number of those items.
async fn lock(tx: &mut Tx, keys: &[Uuid], rounds: &[i64]) -> Result<Vec<(i64, i64)>, Fault> {
    let waiting = query!(
        "SELECT round_id, ordinal FROM items WHERE key = ANY($1) AND task_seq IS NULL AND state = 'open'
          ORDER BY round_id, ordinal FOR NO KEY UPDATE",
        keys
    );
    let waiting = db(waiting.fetch_all(&mut **tx)).await?;
    let waiting: Vec<_> = waiting.iter().map(|w| (w.round_id, w.ordinal)).collect();
    let theirs = waiting.iter().map(|w| w.0);
    let affected: Vec<i64> = rounds.iter().copied().chain(theirs).collect();
    lock_rounds(tx, &affected).await?;
    Ok(waiting)
}

/// Whether an answer (and grade) is stored is asked by sub-selects and not by `EXISTS`, which the server may turn into a hash
/// of all grades.
async fn close_of_tasks(tx: &mut Tx, seqs: &[i64]) -> Result<u64, Fault> {
    let close = query!(
        "UPDATE items i SET state = 'done'
          WHERE i.task_seq = ANY($1) AND i.state = 'open'
            AND (SELECT i.grader IS NULL OR (
                        SELECT true FROM grades g
                         WHERE g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $2)
                           AND g.grader = i.grader AND g.grader_version = i.grader_version)
                   FROM answers a WHERE a.key = i.key)",
        seqs,
        NO_EXAMPLE
    );
    Ok(db(close.execute(&mut **tx)).await?.rows_affected())
}

async fn close_waiting(tx: &mut Tx, waiting: &[(i64, i64)]) -> Result<u64, Fault> {
    if waiting.is_empty() {
        return Ok(0);
    }
    columns!(waiting => rounds: |w| w.0, ordinals: |w| w.1);
    let close = query!(
        "UPDATE items i SET state = 'done'
           FROM unnest($1::bigint[], $2::bigint[]) w (round_id, ordinal)
          WHERE i.round_id = w.round_id AND i.ordinal = w.ordinal AND i.state = 'open'
            AND (SELECT i.grader IS NULL OR (
                        SELECT true FROM grades g
                         WHERE g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $3)
                           AND g.grader = i.grader AND g.grader_version = i.grader_version)
                   FROM answers a WHERE a.key = i.key)",
        &rounds,
        &ordinals,
        NO_EXAMPLE
    );
    Ok(db(close.execute(&mut **tx)).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{RunId, TaskId};
    use store::changes::Accepted;
    use wire::{Counted, Report};

    fn item(ordinal: i64, open: bool) -> Planned {
        Planned {
            round_id: 1,
            ordinal,
            key: Uuid::from_u128(ordinal.unsigned_abs().into()),
            example: NO_EXAMPLE,
            grader: None,
            open,
        }
    }

    /// Between the plan of a step and a report of it, another run may have bought an answer and not seen who waits here.
    #[test]
    fn whoever_waits_for_a_key_is_looked_at_whatever_the_report_says_of_it() {
        let report = Report {
            v: wire::VERSION,
            task: TaskId(Uuid::nil()),
            epoch: 1,
            worker: String::new(),
            items: Vec::new(),
            counted: Counted::default(),
        };
        let known = Known {
            task: Accepted {
                report: &report,
                seq: 7,
                run: RunId(Uuid::nil()),
                attempts: 0,
            },
            round_id: 1,
            model: String::new(),
            worst: domain::run::Spend::default(),
            accepted: true,
        };
        let of_another = ((8, 0), item(9, true));
        let ours = (0..3).map(|place| ((7, place), item(5 - place, place != 1)));
        let planned = ours.chain([of_another]).collect();
        let mut closing = Closing::of(&[&known], &planned, |seat, _| seat.1 != 0);
        closing.keys.sort_unstable();
        assert_eq!(closing.keys, [3, 4, 5].map(Uuid::from_u128));
        assert_eq!((closing.rounds, closing.ordinals), (vec![1], vec![3]));
        assert_eq!(closing.others, [7]);
    }
}
