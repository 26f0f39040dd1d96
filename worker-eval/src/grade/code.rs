//! A program's tests: the code that a reply has runs in the sandbox, and its tests beside it.

use super::{GradeError, lacking, right_or_wrong};
use domain::{
    example::Reference,
    grade::{Grade, GradeInput},
};
use sandbox::{Options, Problem, Sandbox};
use std::{fmt, sync::Arc};
use tokio::{sync::OnceCell, task::spawn_blocking};

/// The sandbox, opened for the first program.
#[derive(Default)]
pub struct Code {
    sandbox: OnceCell<Result<Arc<Sandbox>, GradeError>>,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

impl Code {
    /// Runs the tests.
    pub async fn grade(&self, input: &GradeInput, reply: &str) -> Result<Grade, GradeError> {
        let Reference::Code { entry_point, tests } = &input.reference else {
            return Err(lacking(input, "tests to run"));
        };
        let problem = Problem {
            prompt: input.input.clone(),
            entry_point: entry_point.clone(),
            tests: tests.clone(),
        };
        let sandbox = self.sandbox.get_or_init(open).await.clone()?;
        let reply = reply.to_owned();
        let judged = spawn_blocking(move || sandbox.answer(&problem, &reply)).await;
        // What fails here is no fault of the answer.
        let judged =
            judged.map_err(|e| GradeError::outage(format!("the sandbox broke off: {e}")))?;
        let judged = judged.map_err(|e| GradeError::outage(format!("the sandbox failed: {e}")))?;
        let feedback = judged.failure.map(|failure| failure.text);
        let feedback = feedback.unwrap_or_else(|| "passes all tests".to_owned());
        Ok(right_or_wrong(judged.passed, feedback))
    }
}

async fn open() -> Result<Arc<Sandbox>, GradeError> {
    let opened = spawn_blocking(|| Sandbox::open(Options::default())).await;
    let opened = opened.map_err(|e| GradeError::lasting(e.to_string()))?;
    let opened = opened.map_err(|why| GradeError::lasting(refused(&why)))?;
    tracing::info!(level = %opened.level(), "sandbox");
    Ok(Arc::new(opened))
}

/// Why programs are not graded on this machine, for people.
pub fn refused(why: &sandbox::Unsupported) -> String {
    format!("programs cannot be graded here, for they would not be contained: {why}")
}
