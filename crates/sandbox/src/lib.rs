//! Runs Python programs that a model wrote, contained, and judges them by tests they never see.
//!
//! A [`Sandbox`] has slots; each holds warm interpreters that are confined before anything else happens, and fork one
//! child for each program. [`Sandbox::run`] runs a program, [`Sandbox::judge`] checks an answer to a problem in
//! HumanEval's layout, and [`extract`] takes the code out of a reply. Where the kernel lacks what containing programs
//! needs, [`Sandbox::open`] says so: there is no weaker mode.
//!
//! All calls block, from some milliseconds to the limits' wall time and the wait for a slot; from async code, call them
//! where blocking is allowed. `docs/sandbox.md` says what is contained and how.

mod error;
mod extract;
mod filter;
mod judge;
mod level;
mod options;
mod pool;
mod python;
mod rules;
mod run;
mod scratch;
mod slot;
mod sys;
mod zygote;

pub use error::{Error, Unsupported};
pub use extract::extract;
pub use judge::{Failure, Judged, Problem, Why};
pub use level::{Level, Users};
pub use options::{Limits, Options};
pub use run::{Ended, Limit, Program, Times, Verdict, Written};

use pool::Pool;
use slot::Plan;

/// Slots for programs. Threads may share it; dropping it ends all its processes.
pub struct Sandbox {
    pool: Pool,
    level: Level,
}

impl Sandbox {
    /// Finds out how programs can be contained here, starts the first slot and has it show that it is.
    ///
    /// # Errors
    ///
    /// They cannot be: what is missing, and what to do about it.
    pub fn open(options: Options) -> Result<Self, Unsupported> {
        let (landlock, first_uid) = level::detect(&options)?;
        let plan = Plan::new(options, first_uid)?;
        let level = Level::new(landlock, &plan);
        let pool = Pool::new(plan);
        level::prove(&pool)?;
        Ok(Self { pool, level })
    }

    /// How programs are contained here.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// Runs a program. What it does wrong is in the verdict.
    ///
    /// # Errors
    ///
    /// It could not be run, through no fault of its own: this says nothing of the program.
    pub fn run(&self, program: &Program) -> Result<Verdict, Error> {
        self.pool.with(|plan, slot| run::run(plan, slot, program))
    }

    /// Checks code, a whole program as [`extract`] gives it, by a problem's tests.
    ///
    /// # Errors
    ///
    /// It could not be checked, through no fault of its own: the tests are none, or the machine lacks something.
    pub fn judge(&self, problem: &Problem, code: &str) -> Result<Judged, Error> {
        self.pool
            .with(|plan, slot| judge::judge(plan, slot, problem, code))
    }

    /// Takes the code out of a reply and checks it.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::judge`].
    pub fn answer(&self, problem: &Problem, reply: &str) -> Result<Judged, Error> {
        self.judge(
            problem,
            &extract(reply, &problem.prompt, &problem.entry_point),
        )
    }
}
