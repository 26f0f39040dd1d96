//! What can be wrong with a database, each said in one sentence that shows no password.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{connect, database, schema};
use sqlx::AssertSqlSafe;
use store::Runs;
use store_postgres::{Options, PostgresStore};

/// What is said when the store cannot be opened.
async fn said(url: &str, migrate: bool) -> String {
    let options = Options {
        migrate,
        ..Options::default()
    };
    let error = PostgresStore::open_with(url, options).await.unwrap_err();
    let said = error.to_string();
    for part in url.split([':', '@', '/']) {
        let is_password = part.len() >= 16 && !part.contains(['?', '.']);
        assert!(!is_password || !said.contains(part), "{said}");
    }
    said
}

async fn execute(url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::query(sql)
        .execute(&mut connect(url).await)
        .await
        .unwrap();
}

/// `url` with another user and password.
fn with_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    format!("{scheme}://{user}@{}", rest.split_once('@').unwrap().1)
}

#[tokio::test]
async fn a_text_that_is_no_url_is_not_repeated() {
    for url in [
        "",
        "mysql://me:hunter2hunter2hunter2@host/db",
        "postgres://me:hunter2hunter2hunter2@[host/db",
        "postgres://me:hunter2hunter2hunter2@host:99999999/db",
    ] {
        let said = said(url, true).await;
        assert!(
            said.contains("is written postgres://user:password@"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let said = said("postgres://me:hunter2hunter2hunter2@127.0.0.1:1/db", true).await;
    assert!(
        said.contains("db at 127.0.0.1:1 as user me: nobody answers"),
        "{said}"
    );
}

#[tokio::test]
async fn a_wrong_password_or_user_is_refused() {
    let Some(url) = database() else { return };
    for user in [
        "promptimal:hunter2hunter2hunter2",
        "nobodyknows:hunter2hunter2hunter2",
    ] {
        let said = said(&with_user(&url, user), true).await;
        assert!(said.contains("the server refuses the user"), "{said}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let Some(url) = database() else { return };
    let (server, _) = url.rsplit_once('/').unwrap();
    let said = said(&format!("{server}/nosuch"), true).await;
    assert!(
        said.contains("\"nosuch\" does not exist: make it"),
        "{said}"
    );
}

#[tokio::test]
async fn tables_that_are_too_old_are_brought_up_to_date_only_if_asked() {
    if common::skipped() {
        return;
    }
    let url = schema("too_old").await;
    let empty = said(&url, false).await;
    assert!(
        empty.contains("older than this program (migration 2"),
        "{empty}"
    );
    PostgresStore::open(&url).await.unwrap();
    let options = Options {
        migrate: false,
        ..Options::default()
    };
    let store = PostgresStore::open_with(&url, options).await.unwrap();
    assert_eq!(store.runs().await.unwrap(), vec![]);
    store.close().await;
    execute(
        &url,
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
    )
    .await;
    let old = said(&url, false).await;
    assert!(old.contains("older than this program"), "{old}");
}

#[tokio::test]
async fn tables_of_a_newer_or_another_program_are_left_alone() {
    if common::skipped() {
        return;
    }
    let url = schema("too_new").await;
    PostgresStore::open(&url).await.unwrap();
    execute(&url, "UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = (SELECT min(version) FROM _sqlx_migrations)").await;
    for migrate in [true, false] {
        let changed = said(&url, migrate).await;
        assert!(changed.contains("another migration 2"), "{changed}");
    }
    let url = schema("newer").await;
    PostgresStore::open(&url).await.unwrap();
    execute(
        &url,
        "INSERT INTO _sqlx_migrations VALUES (99990101000000, 'of tomorrow', now(), true, 'x', 0)",
    )
    .await;
    for migrate in [true, false] {
        let newer = said(&url, migrate).await;
        assert!(
            newer.contains("a newer program made its tables (migration 99990101000000"),
            "{newer}"
        );
    }
}

#[tokio::test]
async fn a_user_without_rights_is_told_so() {
    let Some(url) = database() else { return };
    let url_of_schema = schema("no_rights").await;
    let (_, options) = url_of_schema.split_once('?').unwrap();
    let role = format!("reader{}", std::process::id());
    let schema = url_of_schema.rsplit_once("%3D").unwrap().1;
    execute(
        &url,
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2hunter2hunter2'"),
    )
    .await;
    execute(&url, &format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).await;
    let said = said(
        &format!(
            "{}?{options}",
            with_user(&url, &format!("{role}:hunter2hunter2hunter2"))
        ),
        true,
    )
    .await;
    execute(&url, &format!("DROP OWNED BY {role}")).await;
    execute(&url, &format!("DROP ROLE {role}")).await;
    assert!(
        said.contains("permission denied") && said.contains("right"),
        "{said}"
    );
}

/// Coordinators that start together find one set of tables.
#[tokio::test]
async fn many_may_open_an_empty_database_at_once() {
    if common::skipped() {
        return;
    }
    let url = schema("at_once").await;
    let opened = futures::future::join_all((0..6).map(|_| PostgresStore::open(&url))).await;
    for store in opened {
        let store = store.unwrap();
        assert_eq!(store.runs().await.unwrap(), vec![]);
        let password = url.split([':', '@']).nth(2).unwrap();
        assert!(!format!("{store:?}").contains(password));
    }
}
