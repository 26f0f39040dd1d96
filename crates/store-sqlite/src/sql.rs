//! Statements of people, on a connection that cannot write.

use crate::{SqliteStore, codec::db, read_only};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _,
    Statement as _, TypeInfo as _, ValueRef as _, sqlite::SqliteRow,
};
use std::time::{Duration, Instant};
use store::{Result, StoreError};

/// How much a statement may do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// At most this many rows are returned.
    pub rows: usize,
    /// It is interrupted after this long.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            rows: 10_000,
            time: Duration::from_secs(60),
        }
    }
}

/// What a statement returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows: null, integers, numbers and text; a blob as text of hexadecimal digits.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more rows than the bounds allow.
    pub truncated: bool,
}

impl SqliteStore {
    /// Runs one statement that reads, within the default bounds.
    ///
    /// # Errors
    /// When it would write, is not one statement, is no SQL, or takes too long.
    pub async fn query_read_only(&self, sql: &str) -> Result<Table> {
        self.query_within(sql, Bounds::default()).await
    }

    /// Runs one statement that reads, within bounds of the caller's.
    ///
    /// # Errors
    /// As [`SqliteStore::query_read_only`].
    pub async fn query_within(&self, sql: &str, bounds: Bounds) -> Result<Table> {
        let sql = one_reading_statement(sql)?;
        let mut conn = read_only(self.path()).connect().await.map_err(db)?;
        let deadline = Instant::now() + bounds.time;
        conn.lock_handle()
            .await
            .map_err(db)?
            .set_progress_handler(10_000, move || Instant::now() < deadline);
        let statement = conn
            .prepare(AssertSqlSafe(sql.to_owned()).into_sql_str())
            .await
            .map_err(|e| explain(e, bounds))?;
        let columns = statement
            .columns()
            .iter()
            .map(|c| c.name().to_owned())
            .collect();
        let mut table = Table {
            columns,
            rows: vec![],
            truncated: false,
        };
        collect(&mut conn, statement, bounds, &mut table).await?;
        Ok(table)
    }
}

async fn collect(
    conn: &mut sqlx::SqliteConnection,
    statement: sqlx::sqlite::SqliteStatement,
    bounds: Bounds,
    table: &mut Table,
) -> Result<()> {
    let mut stream = statement.query().fetch(conn);
    loop {
        // The stream is polled by hand: the crate needs no stream library for one loop.
        let next = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await;
        match next.transpose().map_err(|e| explain(e, bounds))? {
            None => return Ok(()),
            Some(_) if table.rows.len() == bounds.rows => {
                table.truncated = true;
                return Ok(());
            }
            Some(row) => table.rows.push(values(&row)?),
        }
    }
}

fn values(row: &SqliteRow) -> Result<Vec<Value>> {
    (0..row.len()).map(|i| value(row, i).map_err(db)).collect()
}

fn value(row: &SqliteRow, i: usize) -> sqlx::Result<Value> {
    let raw = row.try_get_raw(i)?;
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "NULL" => Value::Null,
        _ if raw.is_null() => Value::Null,
        "INTEGER" => row.try_get_unchecked::<i64, _>(i)?.into(),
        "REAL" => row.try_get_unchecked::<f64, _>(i)?.into(),
        "BLOB" => row
            .try_get_unchecked::<Vec<u8>, _>(i)?
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
            .into(),
        _ => row.try_get_unchecked::<String, _>(i)?.into(),
    })
}

/// The words with which a statement that only reads begins. (The connection refuses writes by itself; this
/// also keeps out what writes other files, as `VACUUM INTO` does, and says no in plain words.)
const READING: [&str; 4] = ["select", "with", "values", "explain"];

fn one_reading_statement(sql: &str) -> Result<&str> {
    let refuse = |why: String| Err(StoreError::Backend(why));
    let (first, rest) = split_statement(sql);
    if !split_statement(rest).0.is_empty() {
        return refuse("one statement at a time: leave out what follows the first ;".to_owned());
    }
    let word = without_comments(first)
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    match READING.iter().any(|r| r.eq_ignore_ascii_case(word)) {
        true => Ok(first),
        false => refuse(format!(
            "this command is read-only: a statement begins with select, with, values or explain, not {word:?}"
        )),
    }
}

/// The text before the first `;` that ends a statement, trimmed, and the rest.
fn split_statement(sql: &str) -> (&str, &str) {
    let mut rest = sql.char_indices().peekable();
    while let Some((i, c)) = rest.next() {
        let end = match c {
            ';' => return (sql[..i].trim(), &sql[i + 1..]),
            '\'' | '"' | '`' => Some(c.to_string()),
            '[' => Some("]".to_owned()),
            '-' if sql[i..].starts_with("--") => Some("\n".to_owned()),
            '/' if sql[i..].starts_with("/*") => Some("*/".to_owned()),
            _ => None,
        };
        if let Some(end) = end {
            let from = i + c.len_utf8();
            let to = sql[from..]
                .find(&end)
                .map_or(sql.len(), |n| from + n + end.len());
            while rest.next_if(|(j, _)| *j < to).is_some() {}
        }
    }
    (sql.trim(), "")
}

/// The text behind the comments it begins with.
fn without_comments(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start();
        let end = match sql {
            s if s.starts_with("--") => s.find('\n').map(|n| n + 1),
            s if s.starts_with("/*") => s.find("*/").map(|n| n + 2),
            _ => return sql,
        };
        sql = &sql[end.unwrap_or(sql.len())..];
    }
}

fn explain(error: sqlx::Error, bounds: Bounds) -> StoreError {
    let code = error.as_database_error().and_then(|e| e.code());
    StoreError::Backend(match code.as_deref().and_then(|c| c.parse::<i32>().ok()) {
        // SQLITE_READONLY in any of its forms.
        Some(code) if code & 0xff == 8 => format!("this command is read-only: {error}"),
        // SQLITE_INTERRUPT
        Some(9) => format!(
            "the statement was stopped after {:.0} s: narrow it, or raise the limit",
            bounds.time.as_secs_f64()
        ),
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_is_told_from_two() {
        assert_eq!(
            one_reading_statement(" select ';' ; ").unwrap(),
            "select ';'"
        );
        assert_eq!(
            one_reading_statement("-- a; b\nselect 1 /* ; */").unwrap(),
            "-- a; b\nselect 1 /* ; */"
        );
        let error = one_reading_statement("select 1; delete from runs").unwrap_err();
        assert!(error.to_string().contains("one statement"), "{error}");
    }

    #[test]
    fn statements_that_write_are_named_so() {
        for sql in [
            "delete from runs",
            "/* x */ Vacuum into 'f'",
            "pragma query_only = 0",
            "",
        ] {
            let error = one_reading_statement(sql).unwrap_err();
            assert!(error.to_string().contains("read-only"), "{error}");
        }
    }
}
