//! Runs, limits, tags.

use super::world::{START, new_run};
use crate::{StatusChange, Store};
use domain::{
    ids::RunId,
    run::{Limits, RunStatus},
};

/// Storing a run again changes nothing; runs come newest first, as they were.
pub async fn a_run_is_stored_once(store: &dyn Store) {
    let (old, new) = (new_run("old", START), new_run("new", START + 1));
    let limits = Limits::default();
    for run in [&old, &new, &old] {
        store.create_run(run, &limits).await.expect("create");
    }
    let mut changed = old.clone();
    changed.name = "other".to_owned();
    store.create_run(&changed, &limits).await.expect("create");
    assert_eq!(store.run(old.id).await.expect("run"), Some(old.clone()));
    assert_eq!(
        store.runs().await.expect("runs"),
        vec![new.clone(), old.clone()]
    );
    let unknown = new_run("x", START).id;
    assert_eq!(store.run(unknown).await.expect("run"), None);
    assert!(store.limits(unknown).await.is_err());
    store
        .set_summary(old.id, "{\"a\":1}")
        .await
        .expect("summary");
    let stored = store.run(old.id).await.expect("run").expect("stored");
    assert_eq!(stored.summary.as_deref(), Some("{\"a\":1}"));
}

/// The old status is named; an end sets the time of it, going on clears the reason.
pub async fn a_status_changes_only_from_the_one_named(store: &dyn Store) {
    let run = new_run("r", START);
    store
        .create_run(&run, &Limits::default())
        .await
        .expect("create");
    let change = |from, to, reason: Option<&str>| StatusChange {
        run: run.id,
        from,
        to,
        reason: reason.map(str::to_owned),
        now: START + 5,
    };
    use RunStatus::{Finished, Paused, Running};
    let pause = change(Running, Paused, Some("budget"));
    assert!(store.set_status(&pause).await.expect("pause"));
    assert!(!store.set_status(&pause).await.expect("pause again"));
    let stored = store.run(run.id).await.expect("run").expect("stored");
    assert_eq!(
        (stored.status, stored.reason.as_deref()),
        (Paused, Some("budget"))
    );
    assert_eq!(stored.finished_at, None);
    let status = store.status(run.id).await.expect("status");
    assert_eq!(status, Some((Paused, Some("budget".to_owned()))));
    let unknown = store.status(RunId::new()).await.expect("status");
    assert_eq!(unknown, None);
    assert!(
        store
            .set_status(&change(Paused, Running, None))
            .await
            .expect("on")
    );
    assert!(
        store
            .set_status(&change(Running, Finished, None))
            .await
            .expect("end")
    );
    let stored = store.run(run.id).await.expect("run").expect("stored");
    assert_eq!((stored.status, stored.reason), (Finished, None));
    assert_eq!(stored.finished_at, Some(START + 5));
}

/// Limits are appended; the last ones hold.
pub async fn the_newest_limits_hold(store: &dyn Store) {
    let run = new_run("r", START);
    let limits = |calls| Limits {
        calls,
        tokens: Some(5),
        cost_micros: None,
    };
    store
        .create_run(&run, &limits(Some(1)))
        .await
        .expect("create");
    assert_eq!(store.limits(run.id).await.expect("limits"), limits(Some(1)));
    store
        .add_limits(run.id, &limits(Some(9)), START)
        .await
        .expect("add");
    store
        .add_limits(run.id, &limits(None), START)
        .await
        .expect("add");
    assert_eq!(store.limits(run.id).await.expect("limits"), limits(None));
}
