use super::*;
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use std::sync::atomic::AtomicUsize;

const PATIENT: Duration = Duration::from_secs(3600);

/// Drives `n` calls through a gate, each told whether the server throttled it; returns the peak inside.
async fn peak(gate: &Gate, n: usize) -> usize {
    let (inside, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
    join_all((0..n).map(|i| {
        let (inside, peak) = (&inside, &peak);
        async move {
            let _pass = gate.enter().await;
            peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1 + (i % 7) as u64)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
        }
    }))
    .await;
    peak.into_inner()
}

#[tokio::test(start_paused = true)]
async fn the_gate_is_as_wide_as_configured() {
    assert_eq!(peak(&Gate::new(5), 40).await, 5);
    assert_eq!(peak(&Gate::new(0), 3).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_429s_halves_once_and_never_below_one() {
    let gate = Gate::new(16);
    let crowd: Vec<_> = join_all((0..16).map(|_| gate.enter())).await;
    crowd.iter().for_each(Pass::throttled);
    assert_eq!(gate.width(), 8);
    drop(crowd);
    assert_eq!(peak(&gate, 40).await, 8);
    for expected in [4, 2, 1, 1, 1] {
        gate.enter().await.throttled();
        assert_eq!(gate.width(), expected);
    }
    assert_eq!(peak(&gate, 5).await, 1);
}

#[tokio::test(start_paused = true)]
async fn successes_widen_up_to_the_cap_and_no_further() {
    let gate = Gate::new(24);
    for _ in 0..10 {
        gate.enter().await.throttled();
    }
    let mut calls = 0;
    while gate.width() < 24 {
        gate.enter().await.succeeded();
        calls += 1;
        assert!(calls < 400, "still at {}", gate.width());
    }
    assert!(!gate.narrowed.load(Ordering::SeqCst));
    for _ in 0..100 {
        gate.enter().await.succeeded();
    }
    assert_eq!(peak(&gate, 100).await, 24);
}

#[tokio::test(start_paused = true)]
async fn permits_add_up_after_any_mixture() {
    let gate = Gate::new(32);
    let mut inside: FuturesUnordered<_> = (0..500u64)
        .map(|i| {
            let gate = &gate;
            async move {
                let pass = gate.enter().await;
                tokio::time::sleep(Duration::from_millis(i * 7919 % 13)).await;
                if i * 104_729 % 11 == 0 {
                    pass.throttled()
                } else {
                    pass.succeeded()
                }
            }
        })
        .collect();
    while inside.next().await.is_some() {}
    drop(inside);
    assert_eq!(gate.permits.available_permits(), gate.width());
    assert_eq!(lock(&gate.state).owed, 0);
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute_hold_over_concurrent_callers() {
    let limits = Limits::new(64, Some(90), None);
    let start = Instant::now();
    let mut times = join_all((0..300).map(|_| {
        let limits = &limits;
        async move {
            let _pass = limits.admit(10, PATIENT).await.unwrap();
            start.elapsed()
        }
    }))
    .await;
    times.sort();
    let minute = Duration::from_secs(60);
    for (i, from) in times.iter().enumerate() {
        let within = times[i..]
            .iter()
            .take_while(|t| **t - *from < minute)
            .count();
        assert!(within <= 90, "{within} in the minute from {from:?}");
    }
    assert!(
        *times.last().unwrap() < Duration::from_secs(210),
        "{:?}",
        times.last()
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_everybody_and_then_ends() {
    let limits = Limits::new(8, None, None);
    limits.pause(Duration::from_secs(20));
    limits.pause(Duration::from_secs(5));
    let start = Instant::now();
    let times = join_all((0..20).map(|_| async {
        let _pass = limits.admit(1, PATIENT).await.unwrap();
        start.elapsed()
    }))
    .await;
    assert!(
        times.iter().all(|t| *t >= Duration::from_secs(20)),
        "{times:?}"
    );
    assert!(limits.pause_left().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_ones_patience_is_not_waited_for() {
    let limits = Limits::new(1, None, None);
    limits.pause(Duration::from_secs(100));
    let wait = limits
        .admit(1, Duration::from_secs(99))
        .await
        .err()
        .unwrap();
    assert!(
        wait > Duration::from_secs(99) && wait <= Duration::from_secs(100),
        "{wait:?}"
    );
    assert!(limits.admit(1, Duration::from_secs(100)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_large_call_is_not_overtaken_for_ever() {
    let limits = Limits::new(64, None, Some(1000));
    let order = Mutex::new(vec![]);
    join_all((0..20).map(|i| {
        let (limits, order) = (&limits, &order);
        async move {
            let _pass = limits
                .admit(if i == 3 { 900 } else { 50 }, PATIENT)
                .await
                .unwrap();
            lock(order).push(i);
        }
    }))
    .await;
    assert_eq!(order.into_inner().unwrap(), (0..20).collect::<Vec<_>>());
}
