use super::*;
use proptest::prelude::*;

const PER: i64 = 6_000;

fn quota(requests: u64, tokens: Option<u64>) -> Quota {
    Quota {
        requests: Some(requests),
        tokens,
        per: PER,
    }
}

fn need(calls: u64) -> Need {
    Need { calls, tokens: 0 }
}

/// The rows of one model, as an adapter keeps them.
#[derive(Default)]
struct Rows {
    not_before: Option<i64>,
    paced_until: Option<i64>,
    /// Requests, tokens, until.
    grants: Vec<(u64, u64, i64)>,
}

impl Rows {
    fn meters(&self, quota: Quota, now: i64) -> Meters {
        let counting = || self.grants.iter().filter(move |g| g.2 > now);
        let standing = |name: &str| Standing {
            name: name.into(),
            model: "m".into(),
            quota: Some(quota),
            not_before: self.not_before,
            paced_until: self.paced_until,
            held: (
                counting().map(|g| g.0).sum(),
                counting().map(|g| g.1).sum(),
                counting().filter(|g| g.0 > 0).map(|g| g.2).min(),
            ),
        };
        Meters::new(vec![standing("target"), standing("proposer")], now)
    }

    /// Takes a task, or says when to ask again.
    fn claim(&mut self, quota: Quota, need: Need, now: i64) -> std::result::Result<Granted, i64> {
        let mut meters = self.meters(quota, now);
        if !meters.fits("target", need) {
            return Err(meters.retry_at().unwrap());
        }
        let granted = meters.take("target", need).unwrap();
        self.paced_until = meters.taken()[0].1;
        self.grants
            .push((granted.requests, granted.tokens, granted.until));
        Ok(granted)
    }
}

#[test]
fn per_minute_is_a_minute_and_a_little() {
    assert_eq!(Quota::per_minute(None, None), None);
    let quota = Quota::per_minute(Some(500), None).unwrap();
    assert!(quota.per > 60_000_000 && quota.per < 62_000_000);
    assert_eq!(quota.block(), Some(62));
    assert_eq!(Quota::per_minute(Some(3), None).unwrap().block(), Some(1));
}

#[test]
fn what_is_not_limited_is_not_metered() {
    let mut none = Meters::default();
    assert!(none.fits("target", need(9)) && none.closed().is_empty());
    assert_eq!(none.take("target", need(9)), None);
    let held = Standing {
        name: "target".into(),
        model: "m".into(),
        quota: None,
        not_before: Some(90),
        paced_until: None,
        held: (0, 0, None),
    };
    let mut paused = Meters::new(vec![held.clone()], 10);
    assert_eq!(paused.closed(), ["target"]);
    assert!(!paused.fits("target", need(1)));
    assert_eq!(paused.retry_at(), Some(90));
    let mut over = Meters::new(vec![held], 90);
    assert!(over.closed().is_empty() && over.fits("target", need(1)));
    assert_eq!((over.take("target", need(1)), over.taken()), (None, vec![]));
}

#[test]
fn two_names_of_one_model_share_it() {
    let mut meters = Rows::default().meters(quota(4, None), 0);
    for name in ["target", "proposer"] {
        assert!(meters.fits(name, need(1)));
        let granted = meters.take(name, need(1)).unwrap();
        // One question, and once more should it fail.
        assert_eq!(granted.requests, 2);
        // Neither waits for its turn here.
        meters.meters[0].standing.paced_until = None;
    }
    assert!(!meters.fits("target", need(1)));
    assert_eq!(meters.taken().len(), 1);
}

#[test]
fn an_answer_needs_no_request_to_be_graded_again() {
    let mut rows = Rows::default();
    let quota = quota(1, None);
    rows.claim(quota, need(1), 0).unwrap();
    let mut meters = rows.meters(quota, 1);
    assert!(meters.fits("target", need(0)));
    assert_eq!(meters.take("target", need(0)), None);
}

#[test]
fn a_block_beyond_the_quota_goes_alone_and_gets_no_more_than_there_is() {
    let mut rows = Rows::default();
    let granted = rows.claim(quota(5, None), need(8), 0).unwrap();
    assert_eq!(granted.requests, 5);
    let at = rows.claim(quota(5, None), need(1), PER).unwrap_err();
    assert!(at > PER);
    let large = Need {
        calls: 1,
        tokens: 50,
    };
    let mut rows = Rows::default();
    rows.claim(quota(100, Some(10)), large, 0).unwrap();
    let second = rows.claim(quota(100, Some(10)), large, PER);
    assert_eq!(second, Err(3 * PER), "until the first counts no more");
}

#[test]
fn requests_go_out_evenly() {
    let (mut rows, quota) = (Rows::default(), quota(60, None));
    let mut now = 0;
    let mut times = vec![];
    while times.len() < 20 {
        match rows.claim(quota, need(1), now) {
            Ok(granted) => {
                times.push(now);
                // Reported at once, with one request.
                let last = rows.grants.last_mut().unwrap();
                *last = (1, 0, now + granted.per);
            }
            Err(at) => {
                assert!(at > now);
                now = at;
            }
        }
    }
    // A sixtieth at once, and one for each 100 microseconds.
    assert!(times[0] == 0 && times[1] <= 100, "{times:?}");
    assert!(times[19] >= 1_800 && times[19] <= 2_000, "{times:?}");
}

/// An attempt as it may go: claimed, its requests at times of its own before the report or the end, the report perhaps
/// never.
#[derive(Clone, Debug)]
struct Attempt {
    gap: i64,
    calls: u64,
    /// Of its life, thousandths: when each request is begun.
    begun: Vec<i64>,
    /// When the report comes after the last request; `None` for never.
    report: Option<i64>,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    use prop::collection::vec;
    let attempt = (
        0..PER / 4,
        1..4u64,
        vec(0..1_000i64, 6),
        prop::option::weighted(0.8, 0..PER),
    );
    let attempt = attempt.prop_map(|(gap, calls, begun, report)| Attempt {
        gap,
        calls,
        begun,
        report,
    });
    vec(attempt, 1..60)
}

proptest! {
    /// Whatever passes between claim and report, and whoever dies: no window sees more than the quota.
    #[test]
    fn no_window_sees_more_than_the_quota(limit in 1u64..30, attempts in attempts(), quick in any::<bool>()) {
        let quota = quota(limit, None);
        let mut rows = Rows::default();
        let mut requests: Vec<i64> = vec![];
        // Row of the grant, when its report comes, how many it made.
        let mut reports: Vec<(usize, i64, u64)> = vec![];
        let mut now = 0;
        for attempt in attempts {
            now += attempt.gap;
            let granted = loop {
                // Reports that came meanwhile.
                for (row, at, made) in reports.extract_if(.., |r| r.1 <= now) {
                    let grant = &mut rows.grants[row];
                    *grant = (grant.0.min(made), 0, grant.2.min(at + quota.per));
                }
                match rows.claim(quota, need(attempt.calls), now) {
                    Ok(granted) => break granted,
                    Err(at) => {
                        prop_assert!(at > now, "asked again at once");
                        now = at;
                    }
                }
            };
            let made = granted.requests.min(attempt.begun.len() as u64);
            let life = if quick { (granted.before - now) / 20 } else { granted.before - now };
            let begun = attempt.begun.iter().take(made as usize).map(|b| now + life * b / 1_000);
            let begun: Vec<i64> = begun.collect();
            let last = begun.iter().copied().max().unwrap_or(now);
            if let Some(after) = attempt.report {
                reports.push((rows.grants.len() - 1, last + after, made));
            }
            requests.extend(begun);
        }
        for from in &requests {
            let window = requests.iter().filter(|at| *at >= from && **at < from + quota.per);
            prop_assert!(window.count() as u64 <= limit);
        }
    }
}
