//! A schema of its own for each test, in the database that PROMPTIMAL_TEST_DATABASE_URL names.
#![allow(dead_code, reason = "each test file uses its part")]

use domain::hash::Hash;
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use store_postgres::{Options, PostgresStore};

/// The variable that names the database.
const VARIABLE: &str = "PROMPTIMAL_TEST_DATABASE_URL";

/// The database for tests, where there is one; else the test is skipped.
pub fn database() -> Option<String> {
    let url = std::env::var(VARIABLE).ok();
    if url.is_none() {
        skip(&format!(
            "PostgreSQL: {VARIABLE} is not set (scripts/services/postgres start DIR)"
        ));
    }
    url
}

/// Whether the test is skipped.
pub fn skipped() -> bool {
    database().is_none()
}

fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

/// The URL of a schema: the same name is the same schema within this process.
pub async fn schema(name: &str) -> String {
    // PostgreSQL cuts names at 63 bytes.
    let (pid, hash) = (std::process::id(), Hash::of([name]));
    let name = format!("t{pid}_{:.16}_{hash}", name.replace('-', "_"));
    let url = database().unwrap();
    let mut conn = connect(&url).await;
    // Of two that make a schema at once, one would fail. The lock ends with the connection.
    let create = format!("SELECT pg_advisory_lock(1); CREATE SCHEMA IF NOT EXISTS {name}");
    let create = sqlx::raw_sql(sqlx::AssertSqlSafe(create));
    create.execute(&mut conn).await.unwrap();
    format!("{url}?options=-csearch_path%3D{name}")
}

/// A store in the schema of this name.
pub async fn open(name: &str) -> PostgresStore {
    let options = Options {
        connections: 4,
        ..Options::default()
    };
    PostgresStore::open_with(&schema(name).await, options)
        .await
        .unwrap()
}

/// A bare connection.
pub async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

/// One number that a statement selects.
pub async fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}
