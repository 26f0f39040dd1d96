//! What can go wrong with a statement: time limits, and conflicts that are tried again.

use std::{future::Future, time::Duration};
use store::{Result, StoreError};

/// How long the server works at a statement (waiting for other transactions included).
pub const STATEMENT: Duration = Duration::from_secs(60);
/// How long an open transaction may be idle before the server ends it: a coordinator that is stopped must not
/// hold its locks.
pub const IDLE: Duration = Duration::from_secs(120);
/// How long a caller waits for a connection.
pub const ACQUIRE: Duration = Duration::from_secs(30);
/// How long a caller waits for a statement and its connection: a little more than the server's own limits, for
/// a server that does not answer at all.
const ANSWER: Duration = Duration::from_secs(100);

/// How often a transaction is tried that conflicts with others.
const TRIES: u32 = 6;

/// Why a transaction did not go through.
#[derive(Debug)]
pub enum Fault {
    /// It conflicted with another one: the same again may work.
    Conflict(StoreError),
    /// It would not work a second time.
    Final(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict(error) | Fault::Final(error) => error,
        }
    }
}

/// What the server said, without the place in its source; else what the client says.
pub fn said(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => database.message().to_owned(),
        None => error.to_string(),
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code());
        let of = |text: String| StoreError::Backend(text);
        let said = said(&error);
        match code.as_deref() {
            // serialization_failure, deadlock_detected
            Some("40001" | "40P01") => Self::Conflict(of(format!(
                "{said} (tried {TRIES} times; other coordinators write the same rows)"
            ))),
            // query_canceled
            Some("57014") => Self::Final(of(format!(
                "{said}: a statement has {} s, waiting for other transactions included",
                STATEMENT.as_secs()
            ))),
            // idle_in_transaction_session_timeout
            Some("25P03") => Self::Final(of(format!(
                "{said}: an open transaction may be idle for {} s",
                IDLE.as_secs()
            ))),
            _ => Self::Final(of(said)),
        }
    }
}

/// Waits for the database, but not for ever.
pub async fn db<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Fault> {
    within(ANSWER, work).await
}

/// Waits so long.
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Fault::Final(StoreError::Backend(format!(
            "the database did not answer within {} s",
            limit.as_secs()
        )))),
    }
}

/// Runs a transaction until it conflicts with no other.
pub async fn again<T, F>(mut once: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, Fault>>,
{
    for turn in 1..TRIES {
        match once().await {
            Err(Fault::Conflict(_)) => {
                tokio::time::sleep(Duration::from_millis(u64::from(5 * turn * turn))).await;
            }
            done => return Ok(done?),
        }
    }
    Ok(once().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn conflict() -> Fault {
        Fault::Conflict(StoreError::Backend("deadlock".to_owned()))
    }

    #[tokio::test]
    async fn conflicts_are_tried_again_and_other_faults_are_not() {
        let tries = Cell::new(0);
        let once = |faults: u32, fault: fn() -> Fault| {
            tries.set(tries.get() + 1);
            let done = tries.get() > faults;
            async move { if done { Ok(()) } else { Err(fault()) } }
        };
        again(|| once(2, conflict)).await.unwrap();
        assert_eq!(tries.replace(0), 3);
        again(|| once(99, conflict)).await.unwrap_err();
        assert_eq!(tries.replace(0), TRIES);
        let other = || Fault::Final(StoreError::Backend("no".to_owned()));
        again(|| once(99, other)).await.unwrap_err();
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn a_silent_database_is_given_up() {
        let silent = std::future::pending::<sqlx::Result<()>>();
        let error = within(Duration::from_millis(1), silent).await.unwrap_err();
        let error = StoreError::from(error).to_string();
        assert!(error.contains("did not answer"), "{error}");
    }
}
