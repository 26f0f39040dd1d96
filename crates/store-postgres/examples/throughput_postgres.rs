//! How many items a second the store takes from plan to done, whether that depends on how many there are, and on how
//! many coordinators there are, each with a run and connections of its own:
//! `cargo run --release -p store-postgres --example throughput_postgres -- 1000 10000 100000 10000x4`.
//!
//! PROMPTIMAL_TEST_DATABASE_URL names the database. Each measurement has a schema of its own, which is dropped at the
//! end. No model and no queue; see `store::conformance::throughput`.

use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use std::{error::Error, time::Instant};
use store::conformance::throughput;
use store_postgres::PostgresStore;

const VARIABLE: &str = "PROMPTIMAL_TEST_DATABASE_URL";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var(VARIABLE).map_err(|_| format!("{VARIABLE} is not set"))?;
    let mut conn = url.parse::<PgConnectOptions>()?.connect().await?;
    for (nth, what) in std::env::args().skip(1).enumerate() {
        let (n, coordinators) = what.split_once('x').unwrap_or((&what, "1"));
        let schema = format!("throughput_{}_{nth}", std::process::id());
        execute(&mut conn, format!("CREATE SCHEMA {schema}")).await?;
        let line = measure(&url, &schema, n.parse()?, coordinators.parse()?).await;
        let size = size(&mut conn, &schema).await?;
        execute(&mut conn, format!("DROP SCHEMA {schema} CASCADE")).await?;
        let (items, line) = line?;
        eprintln!("{line}; {:.0} bytes per item", size as f64 / items as f64);
    }
    Ok(())
}

async fn measure(
    url: &str,
    schema: &str,
    n: usize,
    coordinators: usize,
) -> Result<(usize, String), Box<dyn Error>> {
    let url = format!("{url}?options=-csearch_path%3D{schema}");
    let open = (0..coordinators).map(|_| PostgresStore::open(&url));
    let stores = try_join_all(open).await?;
    let start = Instant::now();
    let took = try_join_all(stores.iter().map(|s| throughput(s, n))).await?;
    let all = start.elapsed().as_secs_f64();
    for store in stores {
        store.close().await;
    }
    let items = n * coordinators;
    Ok((
        items,
        format!(
            "{}; {coordinators} at once: {:.0} items/s",
            took[0],
            items as f64 / all
        ),
    ))
}

async fn execute(conn: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

/// Bytes of the tables and their indexes.
async fn size(conn: &mut PgConnection, schema: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'",
    )
    .bind(schema)
    .fetch_one(conn)
    .await
}
