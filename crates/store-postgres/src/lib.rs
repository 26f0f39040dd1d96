//! The store on PostgreSQL (15 or newer): several coordinators share one database.
//!
//! | file | aggregate |
//! | --- | --- |
//! | `runs` | runs, limits, tags |
//! | `examples` | examples and memberships |
//! | `plans` | steps, targets, candidates, tasks and items |
//! | `tasks`, `claim` | dispatch, rescue, revive; claims |
//! | `apply` | reports |
//! | `ledger` | reserve, settle, expire |
//! | `quotas` | what models' servers allow |
//! | `results` | what the planner and people read |
//! | `trainings` | how trainings go |
//! | `retention` | deleting runs that are over |
//! | `shared` | whose turn it is, who leads, what was lost |
//!
//! `connect` opens the database, `fault` bounds every wait and tries conflicts again, `time` and `codec` stand
//! between columns and values.
//!
//! Batches travel as one array per column (`unnest`), so that a statement costs one round trip whatever its
//! size. Statements are checked against the migrations at build time; `scripts/sqlx-prepare` renews the
//! committed descriptions in `.sqlx`.
//!
//! # Several coordinators
//!
//! Every write is one transaction at the level *read committed*. Who writes several kinds of rows takes their
//! locks in one order: tasks (by number), answers (by key), grades, items, rounds (by number), what runs have used
//! (by run), limits of models (by model), grants. So two writers never wait for each other in a circle; where a foreign statement makes them do it all
//! the same, the transaction is tried again.
//!
//! * Claims take different tasks side by side (`FOR NO KEY UPDATE SKIP LOCKED`); only the reservation itself is
//!   made under a lock, that of the run's row in `run_spend`, so the cap holds. Grants of a limited model are made
//!   under the lock of its row in `model_limits`.
//! * Reports are applied under the lock of their tasks: of two equal ones, the second finds the task closed.
//! * Planners of one step meet at `unique (run_id, round, step)`: the second waits, then hears that it is planned.

mod apply;
mod claim;
mod codec;
mod connect;
mod examples;
mod fault;
mod ledger;
mod plans;
mod quotas;
mod results;
mod retention;
mod runs;
mod shared;
mod tasks;
mod time;
mod trainings;

pub use connect::Options;

use fault::{Fault, db};
use sqlx::{PgPool, Postgres, Transaction};
use store::Result;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/postgres");

/// A store in a PostgreSQL database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
}

/// A run's rows are written faster than the server gathers statistics, and without them it reads whole tables into
/// hashes where a few hundred keys are asked for: on a young table claims took twenty times as long. Here the answer is
/// always the same, each key through its index.
macro_rules! by_key {
    () => {
        "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off"
    };
}

/// A write transaction.
type Tx = Transaction<'static, Postgres>;

impl PostgresStore {
    /// Opens the store at a URL (`postgres://user:password@host:port/database`) and brings its tables up to date.
    /// The tables lie in the first schema of the search path; `?options=-csearch_path=name` names another.
    ///
    /// # Errors
    /// When the URL is none, nobody answers there, the server refuses the user, or a newer program made the
    /// tables. No message shows the password.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, Options::default()).await
    }

    /// As [`PostgresStore::open`], with options.
    ///
    /// # Errors
    /// As [`PostgresStore::open`]; without `migrate` also when the tables are not up to date.
    pub async fn open_with(url: &str, options: Options) -> Result<Self> {
        let pool = connect::connect(url, options).await?;
        Ok(Self { pool })
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn write(&self) -> Result<Tx, Fault> {
        db(self.pool.begin()).await
    }

    /// A write whose every statement finds its rows by key, a batch of them at most.
    async fn write_by_key(&self) -> Result<Tx, Fault> {
        db(self.pool.begin_with(by_key!())).await
    }

    /// The same for marks that may be lost when the server's machine dies: its disk is not waited for.
    async fn mark_by_key(&self) -> Result<Tx, Fault> {
        let begin = concat!(by_key!(), "; SET LOCAL synchronous_commit = off");
        db(self.pool.begin_with(begin)).await
    }
}

async fn commit(tx: Tx) -> Result<(), Fault> {
    db(tx.commit()).await
}
