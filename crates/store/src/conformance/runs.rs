//! Runs, limits, tags.

use super::world::{START, new_run};
use crate::{Run, RunPage, StatusChange, Store};
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

/// Pages join to the whole list, whatever is added in front or taken out meanwhile.
pub async fn runs_come_in_pages(store: &dyn Store) {
    // Two of one microsecond, and one that is older than all although it is stored last.
    let times = [1, 2, 2, 3, 0];
    for at in times {
        let run = new_run("r", START + at);
        let created = store.create_run(&run, &Limits::default()).await;
        created.expect("create");
    }
    let all = store.runs().await.expect("runs");
    let page = async |status, after: Option<&Run>, limit| {
        let page = RunPage {
            status,
            after: after.map(|run| (run.created_at, run.id)),
            limit,
        };
        store.runs_page(&page).await.expect("page")
    };
    for limit in [1, 2, 5, 6] {
        let mut joined: Vec<Run> = Vec::new();
        loop {
            let next = page(None, joined.last(), limit).await;
            let last = next.len() < limit as usize;
            joined.extend(next);
            if last {
                break;
            }
        }
        assert_eq!(joined, all, "{limit} at a time");
    }
    // A run that is not stored has its place all the same.
    let gone = new_run("gone", START + 2);
    let rest = page(None, Some(&gone), 9).await;
    let after = |run: &&Run| (run.created_at, run.id) < (gone.created_at, gone.id);
    assert!(rest.iter().eq(all.iter().filter(after)));
    let why = "its data are being read";
    for (run, reason) in [(&all[3], why), (&all[1], why), (&all[0], "budget")] {
        let change = StatusChange {
            run: run.id,
            from: RunStatus::Running,
            to: RunStatus::Paused,
            reason: Some(reason.to_owned()),
            now: START + 9,
        };
        assert!(store.set_status(&change).await.expect("pause"));
    }
    let ids = |runs: &[Run]| runs.iter().map(|run| run.id).collect::<Vec<_>>();
    let paused = page(Some(RunStatus::Paused), None, 2).await;
    assert_eq!(ids(&paused), [all[0].id, all[1].id]);
    let paused = page(Some(RunStatus::Paused), paused.last(), 2).await;
    assert_eq!(ids(&paused), [all[3].id]);
    let because = store.paused_because(why).await.expect("paused");
    assert_eq!(because, [all[3].id, all[1].id]);
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
