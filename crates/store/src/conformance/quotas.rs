//! What models' servers allow, over all runs; and attempts whose calls are counted.

use super::world::{HOLD, POLICY, START, World, failed, good, report};
use crate::{Claim, Claimed, Quota, RunModel, Store};
use domain::ids::RunId;
use futures::future::join_all;
use wire::{Action, Counted, Report};

/// Of the quotas of these tests: shorter than a claim holds.
const PER: i64 = 600;

fn quota(requests: u64) -> Option<Quota> {
    Some(Quota {
        requests: Some(requests),
        tokens: None,
        per: PER,
    })
}

/// The tasks of a world ask `m`; `other` is a second one that they do not ask.
async fn allow(w: &World<'_>, model: &str, quota: Option<Quota>) {
    let of = |name: &str, model: &str, quota| RunModel {
        name: name.to_owned(),
        model: model.to_owned(),
        quota,
    };
    let models = [of("m", model, quota), of("other", "elsewhere", None)];
    w.store.use_models(w.run, &models).await.expect("models");
}

/// Runs of one model, which is no other test's, with twelve tasks of one question each.
async fn runs<'a, const N: usize>(
    store: &'a dyn Store,
    quotas: [Option<Quota>; N],
) -> ([World<'a>; N], String) {
    runs_asking(store, quotas, 0).await
}

/// As [`runs`], with the questions from this one on.
async fn runs_asking<'a, const N: usize>(
    store: &'a dyn Store,
    quotas: [Option<Quota>; N],
    first: u32,
) -> ([World<'a>; N], String) {
    let model = format!("model of {}", RunId::new());
    let mut worlds = vec![];
    for quota in quotas {
        let w = World::new(store, None).await;
        allow(&w, &model, quota).await;
        let questions: Vec<Vec<u32>> = (first..first + 12).map(|n| vec![n]).collect();
        let questions: Vec<&[u32]> = questions.iter().map(Vec::as_slice).collect();
        w.plan(0, &questions, &[]).await;
        worlds.push(w);
    }
    let worlds = worlds.try_into();
    (worlds.unwrap_or_else(|_| panic!("{N} runs")), model)
}

async fn claim(w: &World<'_>, now: i64) -> Claim {
    w.store.claim(w.run, 100, now, HOLD).await.expect("claim")
}

/// Requests of a claim.
fn granted(claim: &Claim) -> u64 {
    let of = |c: &Claimed| c.terms.and_then(|t| t.grant).map_or(0, |g| g.requests);
    claim.tasks.iter().map(of).sum()
}

/// A report of a task that asks one question, which took so many requests.
fn answered(claimed: &Claimed, question: u32, requests: u64) -> Report {
    Report {
        counted: Counted {
            requests: Some(requests),
            ..Counted::default()
        },
        ..report(claimed.task, claimed.epoch, vec![good(0, question)])
    }
}

async fn apply(store: &dyn Store, reports: &[Report], now: i64) -> crate::Applied {
    store.apply(reports, POLICY, now).await.expect("apply")
}

/// What one run takes is not there for another; both get it evenly, and a little at once.
pub async fn a_quota_holds_over_all_runs(store: &dyn Store) {
    let ([a, b], _) = runs(store, [quota(120), quota(120)]).await;
    let first = claim(&a, START).await;
    // A sixtieth at once, and what it takes to begin another.
    assert_eq!(first.tasks.len(), 3);
    let terms = first.tasks[0].terms.expect("counted");
    let grant = terms.grant.expect("granted");
    assert_eq!((grant.requests, grant.before), (2, START + 2 * PER));
    let second = claim(&b, START).await;
    assert_eq!(second.tasks.len(), 0);
    let at = second.next_at.expect("a time");
    assert!(at > START && at <= START + PER / 60, "{}", at - START);
    assert!(!claim(&b, at).await.tasks.is_empty());
    assert!(claim(&a, at).await.tasks.is_empty());
}

/// No more than the quota is out at once, whoever claims; a report gives back what was not used, and the rest counts
/// for a whole window.
pub async fn what_is_granted_counts_until_a_window_after_its_report(store: &dyn Store) {
    let ([a, b], _) = runs(store, [quota(4), quota(4)]).await;
    let one = claim(&a, START).await;
    let other = claim(&b, START + PER / 2).await;
    assert_eq!((granted(&one), granted(&other)), (2, 2));
    let none = claim(&a, START + PER).await;
    assert_eq!((granted(&none), none.tasks.len()), (0, 0));
    // One of the two requests was not needed.
    let now = START + PER;
    apply(store, &[answered(&one.tasks[0], 0, 1)], now).await;
    let next = claim(&a, now).await;
    assert_eq!(granted(&next), 1);
    // A repeated report, and one of more requests than were granted, change nothing.
    let again = [answered(&one.tasks[0], 0, 9), answered(&one.tasks[0], 0, 1)];
    apply(store, &again, now + 1).await;
    assert_eq!(granted(&claim(&b, now + PER - 1).await), 0);
    assert_eq!(granted(&claim(&b, now + PER).await), 1);
}

/// Who dies gives nothing back: what was granted may have been sent until its end.
pub async fn a_lost_grant_counts_to_its_end(store: &dyn Store) {
    let ([w], _) = runs(store, [quota(2)]).await;
    let lost = w.dispatch(START).await.remove(0);
    let now = START + PER;
    assert_eq!(store.rescue(w.run, now, now).await.expect("rescue"), 1);
    let claimed = claim(&w, now).await;
    assert_eq!(
        (claimed.tasks.len(), claimed.next_at),
        (0, Some(START + 3 * PER))
    );
    let declined = Report {
        counted: Counted {
            declined: true,
            requests: Some(0),
            ..Counted::default()
        },
        ..report(
            lost.task,
            lost.epoch,
            vec![failed(0, 0, Action::Retry { after_ms: 0 })],
        )
    };
    apply(store, &[declined], now).await;
    assert_eq!(claim(&w, START + 3 * PER - 1).await.tasks.len(), 0);
    assert_eq!(claim(&w, START + 3 * PER).await.tasks.len(), 1);
}

/// The smallest quota of the running runs holds for all of them, one without a quota included; a run that stopped has
/// no say.
pub async fn the_smallest_quota_holds(store: &dyn Store) {
    let ([small, free], model) = runs(store, [quota(2), None]).await;
    assert_eq!(granted(&claim(&free, START).await), 2);
    assert!(claim(&small, START + PER).await.tasks.is_empty());
    let pause = crate::StatusChange {
        run: small.run,
        from: domain::run::RunStatus::Running,
        to: domain::run::RunStatus::Paused,
        reason: None,
        now: START,
    };
    assert!(store.set_status(&pause).await.expect("pause"));
    let rest = claim(&free, START + PER).await;
    assert_eq!((rest.tasks.len(), granted(&rest)), (11, 0));
    assert_eq!(rest.tasks[0].terms, None, "nobody counts");
    // A run may change its mind.
    allow(&small, &model, None).await;
    let rest = claim(&small, START + PER).await;
    assert_eq!((rest.tasks.len(), granted(&rest)), (12, 0));
}

/// A server's word to one worker holds for everybody, with or without a quota, and for no other model.
pub async fn a_server_that_asks_for_it_is_left_alone(store: &dyn Store) {
    let ([a, b], _) = runs(store, [None, None]).await;
    let ([elsewhere], _) = runs(store, [None]).await;
    let one = store
        .claim(a.run, 2, START, HOLD)
        .await
        .expect("claim")
        .tasks;
    let asked = |task: &Claimed, pause_ms| Report {
        counted: Counted {
            pause_ms: Some(pause_ms),
            ..Counted::default()
        },
        ..report(
            task.task,
            task.epoch,
            vec![failed(0, 0, Action::Again { after_ms: pause_ms })],
        )
    };
    // The longer one holds, whatever comes first.
    let applied = apply(store, &[asked(&one[0], 7), asked(&one[1], 5)], START).await;
    assert_eq!(applied.held.len(), 1);
    assert_eq!(applied.held[0].1, START + 7_000);
    let applied = apply(store, &[asked(&one[1], 2)], START).await;
    assert_eq!((applied.stale, applied.held[0].1), (1, START + 7_000));
    for w in [&a, &b] {
        let claimed = claim(w, START + 6_999).await;
        assert_eq!(
            (claimed.tasks.len(), claimed.next_at),
            (0, Some(START + 7_000))
        );
    }
    assert_eq!(claim(&elsewhere, START).await.tasks.len(), 12);
    for w in [&a, &b] {
        assert_eq!(claim(w, START + 7_000).await.tasks.len(), 12);
    }
}

/// An item that was not asked, or whose server said when to come back, costs its task no attempt.
pub async fn what_was_not_asked_costs_no_attempt(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1, 2]], &[]).await;
    let mut now = START;
    for _ in 0..POLICY.max_attempts + 2 {
        let task = w.dispatch(now).await.remove(0);
        let items = vec![
            failed(0, 1, Action::Again { after_ms: 0 }),
            failed(1, 2, Action::Again { after_ms: 3 }),
        ];
        let applied = apply(store, &[report(task.task, task.epoch, items)], now).await;
        assert_eq!(applied.trouble.len(), 1, "people hear of it");
        assert_eq!(claim(&w, now).await.next_at, Some(now + 3_000));
        now += 3_000;
    }
    assert_eq!((w.status().await.open, w.calls().await), (1, 0));
}

/// Who declines an attempt does not speak for who had it before: its reservation stays until that one reports.
pub async fn a_declined_attempt_stays_charged(store: &dyn Store) {
    let w = World::new(store, Some(9)).await;
    w.plan(0, &[&[1, 2]], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    assert_eq!(
        task.terms.map(|t| t.grant),
        Some(None),
        "counted, not limited"
    );
    let retry = Action::Retry { after_ms: 0 };
    let declined = Report {
        worker: "another".to_owned(),
        counted: Counted {
            declined: true,
            ..Counted::default()
        },
        ..report(
            task.task,
            task.epoch,
            vec![failed(0, 1, retry), failed(1, 2, retry)],
        )
    };
    assert_eq!(apply(store, &[declined], START).await.accepted, 1);
    assert_eq!(w.calls().await, 2);
    let again = w.dispatch(START + 100).await.remove(0);
    assert_eq!((again.epoch, w.calls().await), (task.epoch + 1, 4));
    let late = report(task.task, task.epoch, vec![good(0, 1), failed(1, 2, retry)]);
    apply(store, &[late], START + 100).await;
    assert_eq!(w.calls().await, 3, "one of the first, two reserved");
}

/// A budget that others have reserved is not used up.
pub async fn a_full_budget_waits_for_what_is_under_way(store: &dyn Store) {
    let w = World::new(store, Some(3)).await;
    w.plan(0, &[&[1, 2], &[3, 4]], &[]).await;
    let mine = store
        .claim(w.run, 1, START, HOLD)
        .await
        .expect("claim")
        .tasks
        .remove(0);
    let full = claim(&w, START + 1).await;
    assert!(
        full.over_budget.is_some() && full.under_way,
        "claimed, not sent yet"
    );
    let attempt = [(mine.task, mine.epoch)];
    store.dispatched(&attempt, START).await.expect("dispatched");
    assert!(claim(&w, START + 1).await.under_way, "sent");
    let items = vec![good(0, 1), good(1, 2)];
    apply(store, &[report(mine.task, mine.epoch, items)], START + 2).await;
    let full = claim(&w, START + 2).await;
    assert!(full.over_budget.is_some() && !full.under_way);
}

/// A claim that lapsed is given up before the budget is called used up: nobody waits for it.
pub async fn a_lapsed_claim_is_not_waited_for(store: &dyn Store) {
    let w = World::new(store, Some(3)).await;
    w.plan(0, &[&[1, 2]], &[]).await;
    assert_eq!(claim(&w, START).await.tasks.len(), 1);
    let full = claim(&w, START + HOLD).await;
    assert!(full.tasks.is_empty() && full.over_budget.is_some());
    assert!(!full.under_way);
    assert_eq!(w.calls().await, 2);
}

/// As many handles of a store as there are coordinators claim at once: together they get the quota, and no more.
pub async fn coordinators_share_a_quota(stores: &[&dyn Store]) {
    let wide = Some(Quota {
        requests: Some(30),
        tokens: None,
        // So long that its turn holds nobody up in this test.
        per: 3_000,
    });
    for round in 0..5 {
        // Nobody has answered these.
        let ([a, b], _) = runs_asking(stores[0], [wide, wide], 1_000_000).await;
        let mut sum = 0;
        for step in 0..40 {
            let now = START + step * 100;
            let claims = stores.iter().flat_map(|s| [(*s, a.run), (*s, b.run)]);
            let claims =
                claims.map(|(s, run)| async move { s.claim(run, 2, now, 10 * HOLD).await });
            for claim in join_all(claims).await {
                sum += granted(&claim.expect("claim"));
            }
        }
        assert!(sum <= 30 && sum > 24, "{sum} in round {round}");
    }
}
