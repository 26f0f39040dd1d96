//! Opening the database: one clear sentence for each thing that can be wrong with it.

use crate::{
    MIGRATIONS,
    fault::{ACQUIRE, IDLE, STATEMENT, said},
};
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::HashMap, time::Duration};
use store::{Result, StoreError};

/// How long the first connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// How long the migrations may take, waiting for those of another process included.
const MIGRATE: Duration = Duration::from_secs(600);

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bring the tables up to date. Without it, tables that are not are an error: for programs whose user may
    /// not change tables.
    pub migrate: bool,
    /// At most this many connections.
    pub connections: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            migrate: true,
            connections: 8,
        }
    }
}

/// Connects, checks or migrates, and makes the pool.
pub async fn connect(url: &str, options: Options) -> Result<PgPool> {
    let settings = parse(url)?;
    let place = Place::of(&settings);
    // One connection first: a pool tries a server that refuses for as long as callers may wait.
    let mut conn = place.soon(CONNECT, settings.connect()).await?;
    check_encoding(&mut conn, &place).await?;
    if options.migrate {
        // Through a pool of one: sqlx's future over a bare connection cannot be sent to another thread.
        let one = PgPoolOptions::new().max_connections(1);
        let one = one.connect_lazy_with(settings.clone());
        place.soon(MIGRATE, MIGRATIONS.run(&one)).await?;
        one.close().await;
    }
    check_migrations(&mut conn, &place).await?;
    conn.close().await.ok();
    Ok(PgPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(limited(settings)))
}

fn parse(url: &str) -> Result<PgConnectOptions> {
    let is_one = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    let settings = is_one.then(|| url.parse::<PgConnectOptions>());
    match settings {
        Some(Ok(settings)) => Ok(settings.application_name("promptimal")),
        // Neither the URL nor what the parser says of it: a password may be in it.
        _ => Err(StoreError::Backend(
            "the database's URL is not understood: it is written postgres://user:password@host:port/database, \
             with special characters of the password as %XX"
                .to_owned(),
        )),
    }
}

/// What every session is told: time limits; and to plan each statement for the rows it has now, because tables
/// grow by orders of magnitude while a connection lives.
fn limited(settings: PgConnectOptions) -> PgConnectOptions {
    let millis = |limit: Duration| limit.as_millis().to_string();
    settings.options([
        ("statement_timeout", millis(STATEMENT)),
        ("idle_in_transaction_session_timeout", millis(IDLE)),
        ("default_transaction_isolation", "read committed".to_owned()),
        ("plan_cache_mode", "force_custom_plan".to_owned()),
        ("jit", "off".to_owned()),
    ])
}

/// Where the store is, for messages: all of the URL but its password.
struct Place(String);

impl Place {
    fn of(settings: &PgConnectOptions) -> Self {
        let database = settings.get_database().unwrap_or(settings.get_username());
        Self(match settings.get_socket() {
            Some(socket) => format!("{database} (socket {})", socket.display()),
            None => format!(
                "{database} at {}:{} as user {}",
                settings.get_host(),
                settings.get_port(),
                settings.get_username()
            ),
        })
    }

    fn says(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Backend(format!("database {}: {what}", self.0))
    }

    /// Waits so long, and says what went wrong.
    async fn soon<T, E: Into<Wrong>>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T> {
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done.map_err(|e| self.says(e.into().0)),
            Err(_) => Err(self.says(format!("no answer within {} s", limit.as_secs()))),
        }
    }
}

/// What went wrong, as a sentence.
struct Wrong(String);

impl From<sqlx::Error> for Wrong {
    fn from(error: sqlx::Error) -> Self {
        let said = said(&error);
        let code = error.as_database_error().and_then(|e| e.code());
        Self(match (code.as_deref(), &error) {
            // invalid_password, invalid_authorization_specification
            (Some("28P01" | "28000"), _) => {
                format!("the server refuses the user: {said}: check user and password in the URL")
            }
            // invalid_catalog_name
            (Some("3D000"), _) => {
                format!("{said}: make it (createdb), or name another in the URL")
            }
            // insufficient_privilege
            (Some("42501"), _) => format!("{said}: the user needs this right to open the store"),
            // invalid_schema_name
            (Some("3F000"), _) => {
                format!(
                    "{said}: name a schema of the user's (?options=-csearch_path=name in the URL)"
                )
            }
            (None, sqlx::Error::Io(io)) => {
                format!(
                    "nobody answers ({io}): is the server running, and are host and port right?"
                )
            }
            _ => said,
        })
    }
}

impl From<MigrateError> for Wrong {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => newer(version),
            MigrateError::VersionMismatch(version) => changed(version),
            MigrateError::Execute(error) => Self::from(error),
            MigrateError::ExecuteMigration(error, version) => Self(format!(
                "migration {version} failed: {}",
                Self::from(error).0
            )),
            other => Self(format!("migrations: {other}")),
        }
    }
}

fn newer(version: i64) -> Wrong {
    Wrong(format!(
        "a newer program made its tables (migration {version} is unknown here): use that program, or another \
         database"
    ))
}

fn changed(version: i64) -> Wrong {
    Wrong(format!(
        "its tables were made by another migration {version} than this program's: use the program that made \
         them, or another database"
    ))
}

fn older(version: i64) -> Wrong {
    Wrong(format!(
        "its tables are older than this program (migration {version} is missing): open it once with migrations"
    ))
}

async fn check_encoding(conn: &mut PgConnection, place: &Place) -> Result<()> {
    let encoding: String = place
        .soon(
            CONNECT,
            sqlx::query_scalar("SELECT current_setting('server_encoding')").fetch_one(conn),
        )
        .await?;
    match encoding.as_str() {
        "UTF8" => Ok(()),
        other => Err(place.says(format!(
            "its encoding is {other}, which cannot hold every text: make one with encoding UTF8"
        ))),
    }
}

/// What the migrator itself does not check when it is not run.
async fn check_migrations(conn: &mut PgConnection, place: &Place) -> Result<()> {
    let there = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let there: bool = place
        .soon(CONNECT, sqlx::query_scalar(there).fetch_one(&mut *conn))
        .await?;
    let mut applied: HashMap<i64, Vec<u8>> = HashMap::new();
    if there {
        let sql = "SELECT version, checksum FROM _sqlx_migrations WHERE success";
        let rows = sqlx::query_as(sql).fetch_all(conn);
        applied.extend(place.soon(CONNECT, rows).await?);
    }
    match judge(applied) {
        Some(wrong) => Err(place.says(wrong.0)),
        None => Ok(()),
    }
}

/// Our migrations beside those that were applied.
fn judge(mut applied: HashMap<i64, Vec<u8>>) -> Option<Wrong> {
    for ours in MIGRATIONS.iter() {
        match applied.remove(&ours.version) {
            None => return Some(older(ours.version)),
            Some(checksum) if checksum != *ours.checksum => return Some(changed(ours.version)),
            Some(_) => {}
        }
    }
    applied.into_keys().max().map(newer)
}
