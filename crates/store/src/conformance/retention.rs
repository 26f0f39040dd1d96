//! Runs that are over can be pruned: what stays, what goes, and that a kill in the middle changes nothing.

use super::history::{self, fill};
use crate::{
    Run, Store, StoreError,
    retention::{Part, Prune, Pruned, prunable, prune},
};
use domain::{ids::RunId, run::RunStatus};

/// Later than everything that [`fill`] does.
const LATER: i64 = history::END;

async fn named(store: &dyn Store, name: &str) -> Run {
    let runs = store.runs().await.expect("runs");
    let found = runs.into_iter().find(|r| r.name == name);
    found.expect("a run of this name")
}

async fn left(store: &dyn Store, run: RunId) -> Vec<(Part, u64)> {
    let rows = store.count_rows(run).await.expect("count");
    rows.into_iter().filter(|(_, n)| *n > 0).collect()
}

fn these(runs: &[&Run]) -> Prune {
    Prune {
        runs: runs.iter().map(|r| r.id).collect(),
        ..Prune::at(LATER)
    }
}

fn sum(pruned: &Pruned) -> u64 {
    pruned.rows.iter().map(|(_, n)| n).sum()
}

/// Its row, summary, ledger and limits stay, and what others have.
pub async fn a_pruned_run_keeps_what_it_cost(store: &dyn Store) {
    fill(store).await.expect("history");
    let (demo, again) = (named(store, "demo").await, named(store, "again").await);
    let (spend, steps) = (
        store.spend(demo.id).await.expect("spend"),
        store.steps(demo.id).await.expect("steps"),
    );
    let before = left(store, demo.id).await;
    let other = store.projection(again.id).await.expect("projection");
    let wanted = these(&[&demo]);
    let expected = prunable(store, &wanted).await.expect("dry run");
    assert_eq!(store.pruned_at(demo.id).await.expect("mark"), None);
    assert_eq!(left(store, demo.id).await, before, "a dry run");
    let done = prune(store, &wanted).await.expect("prune");
    assert_eq!((&done.rows, done.unfinished), (&expected.rows, false));
    assert_eq!(done.runs[0].name, "demo");
    let kept = left(store, demo.id).await;
    assert!(kept.iter().all(|(part, _)| Part::ACCOUNTS.contains(part)));
    assert!(
        before
            .iter()
            .all(|row| Part::ROWS.contains(&row.0) || kept.contains(row))
    );
    assert_eq!(store.spend(demo.id).await.expect("spend"), spend);
    assert_eq!(store.steps(demo.id).await.expect("steps"), steps);
    let run = store.run(demo.id).await.expect("run").expect("its row");
    assert_eq!((run.status, run.summary), (demo.status, demo.summary));
    assert_eq!(store.pruned_at(demo.id).await.expect("mark"), Some(LATER));
    assert_eq!(store.projection(again.id).await.expect("projection"), other);
    let nothing = prune(store, &wanted).await.expect("again");
    assert_eq!(nothing, Pruned::default());
}

/// And then nothing is left of it.
pub async fn everything_goes_when_asked(store: &dyn Store) {
    fill(store).await.expect("history");
    let demo = named(store, "demo").await;
    let mut wanted = these(&[&demo]);
    prune(store, &wanted).await.expect("prune");
    wanted.everything = true;
    let expected = prunable(store, &wanted).await.expect("dry run");
    let done = prune(store, &wanted).await.expect("the rest");
    assert_eq!(done.rows, expected.rows);
    assert_eq!(done.rows.last(), Some(&("runs", 1)));
    assert_eq!(store.run(demo.id).await.expect("run"), None);
    assert_eq!(left(store, demo.id).await, []);
}

/// Small batches, stopped after any number of them, end where one go ends.
pub async fn pruning_goes_on_where_it_was_stopped(store: &dyn Store) {
    fill(store).await.expect("history");
    let (demo, again) = (named(store, "demo").await, named(store, "again").await);
    let mut wanted = Prune {
        everything: true,
        batch: 7,
        ..these(&[&demo, &again])
    };
    let all = prunable(store, &wanted).await.expect("dry run");
    let (mut gone, mut stops) = (0, 0);
    for batches in (1..).map(|n| n % 5 + 1) {
        wanted.batches = Some(batches);
        let some = prune(store, &wanted).await.expect("some batches");
        assert!(sum(&some) <= 7 * batches);
        gone += sum(&some);
        if !some.unfinished {
            break;
        }
        stops += 1;
        assert!(stops < 10_000, "it does not end");
    }
    assert!(stops > 10, "{stops} stops");
    assert_eq!(gone, sum(&all));
    let runs = store.runs().await.expect("runs");
    assert!(runs.iter().all(|r| r.id != demo.id && r.id != again.id));
}

/// What is under way, or may be resumed, is not touched.
pub async fn a_run_that_is_not_over_is_refused(store: &dyn Store) {
    fill(store).await.expect("history");
    for (name, way_out) in [
        ("waiting", "wait for its end"),
        ("prompts", "cancel it first"),
    ] {
        let run = named(store, name).await;
        let before = left(store, run.id).await;
        let error = prune(store, &these(&[&run])).await.expect_err("refused");
        assert!(matches!(error, StoreError::Refused(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(way_out), "{text}");
        let rows = store.delete_rows(run.id, Part::Items, 9).await;
        assert!(rows.is_err(), "it is not marked");
        assert_eq!(left(store, run.id).await, before);
        assert!(!store.mark_pruned(run.id, LATER).await.expect("mark"));
    }
}

/// A failed run that is pruned can go on no more; what is too young, or not over, is passed over.
pub async fn old_runs_are_pruned_by_their_age(store: &dyn Store) {
    fill(store).await.expect("history");
    let again = named(store, "again").await;
    let cut = again.finished_at.expect("its end");
    let mut wanted = Prune {
        before: Some(cut),
        ..Prune::at(LATER)
    };
    let names = |p: &Pruned| -> Vec<String> { p.runs.iter().map(|r| r.name.clone()).collect() };
    assert_eq!(
        names(&prune(store, &wanted).await.expect("prune")),
        ["demo"]
    );
    wanted.before = Some(LATER);
    let rest = prune(store, &wanted).await.expect("prune");
    assert_eq!(names(&rest), ["again", "broken"]);
    let broken = named(store, "broken").await;
    assert_eq!(broken.status, RunStatus::Cancelled);
    let nothing = prune(store, &Prune::at(LATER)).await.expect("nothing");
    assert_eq!(nothing, Pruned::default(), "neither runs nor an age");
}

/// Answers stay unless asked, and then those stay that a run refers to.
pub async fn unused_answers_go_when_asked(store: &dyn Store) {
    fill(store).await.expect("history");
    let (demo, waiting) = (named(store, "demo").await, named(store, "waiting").await);
    let again = named(store, "again").await;
    let other = store.projection(again.id).await.expect("projection");
    let mut wanted = these(&[&demo]);
    prune(store, &wanted).await.expect("prune");
    wanted.answers = true;
    let expected = prunable(store, &wanted).await.expect("dry run");
    let error = prune(store, &wanted).await.expect_err("one is running");
    assert!(
        error.to_string().contains("\"waiting\" is running"),
        "{error}"
    );
    let pause = crate::StatusChange {
        run: waiting.id,
        from: RunStatus::Running,
        to: RunStatus::Paused,
        reason: None,
        now: LATER,
    };
    assert!(store.set_status(&pause).await.expect("pause"));
    wanted.batch = 10;
    let done = prune(store, &wanted).await.expect("prune");
    assert_eq!(done.rows, expected.rows);
    assert_eq!(done.rows.first().map(|r| r.0), Some("answers"));
    assert_eq!(store.projection(again.id).await.expect("projection"), other);
    let unused = store.count_unused(&[]).await.expect("count");
    assert_eq!((unused.answers, unused.examples), (0, 0));
    let rest = Prune {
        answers: true,
        before: Some(LATER),
        ..Prune::at(LATER)
    };
    prune(store, &rest).await.expect("prune");
    let unused = store.count_unused(&[]).await.expect("count");
    assert_eq!((unused.answers, unused.examples), (0, 0));
}
