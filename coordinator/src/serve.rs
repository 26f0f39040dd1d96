//! The loops together: for one run, or for all.

use crate::{
    Config, CoordinatorError, Deps, Outcome, collect, conduct, dispatch, lead, pulse::Pulse,
    rescue, watch,
};
use domain::ids::RunId;
use futures::{FutureExt, future::BoxFuture};
use runtime::shutdown::Shutdown;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The first wait after a loop failed, then ever twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait before a failed loop starts again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Drives one run until it is finished, cannot go on, or shutdown is asked for; then its status says which.
///
/// Attempts that an earlier process sent and lost are given back first: the caller says with `rescue` that no other
/// coordinator drives this run and that the queue is new.
///
/// # Errors
/// When store or queue fail for good; the run stays as it is stored and can be driven again.
pub async fn run(
    id: RunId,
    config: Config,
    deps: Deps,
    shutdown: Shutdown,
    rescue: bool,
) -> Result<Outcome, CoordinatorError> {
    let now = deps.clock.now_micros();
    if rescue {
        deps.store.rescue(id, i64::MAX, now).await?;
    }
    deps.store.revive(id, now).await?;
    let pulse = Pulse::default();
    let last_call = CancellationToken::new();
    let collecting = collect::run(&config, &deps, &pulse, &last_call);
    tokio::pin!(collecting);
    let outcome = tokio::select! {
        outcome = conduct::conduct(id, &deps, &pulse) => outcome?,
        failed = dispatch::run(Some(id), &config, &deps, &pulse) => {
            failed?;
            Outcome::Paused("the dispatcher ended".to_owned())
        }
        ended = &mut collecting => {
            ended?;
            Outcome::Paused("the queue was closed".to_owned())
        }
        ended = beside(&config, &deps, &pulse) => {
            ended?;
            Outcome::Paused("the queue was closed".to_owned())
        }
        () = shutdown.drain_requested() => Outcome::Paused("interrupted".to_owned()),
    };
    // Reports that are there already are paid for: they are stored before the end.
    last_call.cancel();
    if !shutdown.is_stopping() {
        collecting.await?;
    }
    conduct::stop(id, &deps, &outcome).await?;
    Ok(outcome)
}

/// What else a run needs; more where its tasks leave this process.
async fn beside(config: &Config, deps: &Deps, pulse: &Pulse) -> Ended {
    let Some(policy) = &config.rescue else {
        return watch::beats(deps).await;
    };
    tokio::select! {
        ended = rescue::run(policy, deps, pulse) => ended,
        ended = watch::beats(deps) => ended,
        ended = watch::dead_letters(config, deps, pulse) => ended,
    }
}

/// Works on all runs until shutdown is asked for. Whatever fails is tried again for ever: a coordinator outlives its
/// database and its broker.
pub async fn serve(config: Config, deps: Deps, shutdown: Shutdown) {
    let parts = Arc::new(Parts {
        config,
        deps,
        pulse: Arc::default(),
    });
    // They end with this, however it ends.
    let mut loops = JoinSet::new();
    for (name, work) in LOOPS {
        loops.spawn(again(name, *work, parts.clone()));
    }
    tokio::select! {
        _ = loops.join_next() => {}
        () = shutdown.drain_requested() => {}
    }
    loops.shutdown().await;
    lead::resign(&parts.config, &parts.deps).await;
}

/// What all loops share.
struct Parts {
    config: Config,
    deps: Deps,
    pulse: Arc<Pulse>,
}

type Ended = Result<(), CoordinatorError>;
type Work = fn(Arc<Parts>) -> BoxFuture<'static, Ended>;

const LOOPS: &[(&str, Work)] = &[
    ("collector", |p| {
        async move { collect::run(&p.config, &p.deps, &p.pulse, &CancellationToken::new()).await }
            .boxed()
    }),
    ("dispatcher", |p| {
        async move { dispatch::run(None, &p.config, &p.deps, &p.pulse).await }.boxed()
    }),
    ("leader", |p| {
        async move { lead::run(&p.config, &p.deps, &p.pulse).await }.boxed()
    }),
    ("heartbeats", |p| {
        async move { watch::beats(&p.deps).await }.boxed()
    }),
    ("dead letters", |p| {
        async move { watch::dead_letters(&p.config, &p.deps, &p.pulse).await }.boxed()
    }),
];

/// Starts a loop again whenever it ends.
async fn again(name: &'static str, work: Work, parts: Arc<Parts>) {
    let mut wait = FIRST_WAIT;
    loop {
        let began = tokio::time::Instant::now();
        match work(parts.clone()).await {
            Ok(()) => tracing::warn!(name, "loop ended, starting it again"),
            Err(error) => tracing::warn!(name, %error, "loop failed, starting it again"),
        }
        if began.elapsed() > LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = LONGEST_WAIT.min(wait * 2);
    }
}
