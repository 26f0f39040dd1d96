//! Requests and tokens per minute: a token bucket in its scheduling form.
//!
//! A bucket does not count what is left. It keeps the time at which everything taken so far would have
//! been earned, and gives each taker the earliest moment it may go (the generic cell rate algorithm of
//! the ATM Forum's traffic management specification 4.0). One number, no timer task, first come first
//! served. Times are nanoseconds since a start that the caller chooses.
//!
//! The limit holds over *every* window of a minute, the first burst included: the burst is taken out of
//! the steady rate. Only a single call that is larger than the whole limit can break it.

const MINUTE: u64 = 60_000_000_000;

/// One limit.
#[derive(Clone, Debug)]
struct Bucket {
    /// Units earned per minute once the burst is spent.
    rate: u64,
    /// Time that may be borrowed.
    burst: u64,
    /// When all that was taken will have been earned; none before the first taker.
    earned: Option<u64>,
}

impl Bucket {
    /// `free` units may be taken at once after a pause, within `per_minute`.
    fn new(per_minute: u64, free: u64, rate: u64) -> Self {
        debug_assert!(rate > 0 && free <= per_minute);
        Self {
            rate,
            burst: free.saturating_mul(MINUTE) / rate,
            earned: None,
        }
    }

    /// Requests: about a second's worth may go at once.
    fn requests(per_minute: u32) -> Self {
        let per_minute = u64::from(per_minute.max(1));
        let free = (per_minute / 60).max(1);
        Self::new(per_minute, free, per_minute - free + 1)
    }

    /// Tokens: a tenth may go at once.
    fn tokens(per_minute: u32) -> Self {
        let per_minute = u64::from(per_minute.max(1));
        let free = per_minute / 10;
        Self::new(per_minute, free, per_minute - free)
    }

    /// How long it takes to earn so much; rounded up, so that the limit is never passed.
    fn time_for(&self, units: u64) -> u64 {
        let time = (u128::from(units) * u128::from(MINUTE)).div_ceil(u128::from(self.rate));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    fn earliest(&self, units: u64) -> u64 {
        let after = |earned: u64| earned.saturating_add(self.time_for(units));
        self.earned
            .map_or(0, |e| after(e).saturating_sub(self.burst))
    }

    fn take(&mut self, at: u64, units: u64) {
        let from = self.earned.map_or(at, |e| e.max(at));
        self.earned = Some(from.saturating_add(self.time_for(units)));
    }

    /// What was taken as `guess` was really `actual`.
    fn correct(&mut self, guess: u64, actual: u64) {
        let (guess, actual) = (self.time_for(guess), self.time_for(actual));
        self.earned = self
            .earned
            .map(|e| e.saturating_add(actual).saturating_sub(guess));
    }
}

/// Both limits of a model, taken together.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// The last moment given out: takers go in the order they came.
    last: u64,
}

impl Rates {
    /// None where nothing is limited.
    pub fn new(requests: Option<u32>, tokens: Option<u32>) -> Option<Self> {
        let (requests, tokens) = (requests.map(Bucket::requests), tokens.map(Bucket::tokens));
        (requests.is_some() || tokens.is_some()).then_some(Self {
            requests,
            tokens,
            last: 0,
        })
    }

    /// Takes one request of so many tokens, and says when it may go (`now` or later).
    pub fn reserve(&mut self, now: u64, tokens: u64) -> u64 {
        let requests_from = self.requests.as_ref().map_or(0, |b| b.earliest(1));
        let tokens_from = self.tokens.as_ref().map_or(0, |b| b.earliest(tokens));
        let at = now.max(self.last).max(requests_from).max(tokens_from);
        if let Some(b) = &mut self.requests {
            b.take(at, 1);
        }
        if let Some(b) = &mut self.tokens {
            b.take(at, tokens);
        }
        self.last = at;
        at
    }

    /// A request reserved as `guess` tokens used `actual`.
    pub fn settle(&mut self, guess: u64, actual: u64) {
        if let Some(b) = &mut self.tokens {
            b.correct(guess, actual);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// The largest sum over any half-open window of a minute.
    fn busiest_minute(taken: &[(u64, u64)]) -> u64 {
        let in_window = |from: u64| {
            taken
                .iter()
                .filter(move |t| t.0 >= from && t.0 < from + MINUTE)
        };
        taken
            .iter()
            .map(|t| in_window(t.0).map(|t| t.1).sum())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn an_idle_bucket_lets_the_first_ones_go_at_once() {
        let mut rates = Rates::new(Some(120), Some(1000)).unwrap();
        assert_eq!(rates.reserve(5 * SECOND, 450), 5 * SECOND);
        assert_eq!(
            rates.reserve(5 * SECOND, 0),
            5 * SECOND + rates_wait(450 - 100, 900)
        );
    }

    fn rates_wait(tokens: u64, per_minute: u64) -> u64 {
        (tokens * MINUTE).div_ceil(per_minute)
    }

    #[test]
    fn one_a_minute_is_one_a_minute() {
        let mut rates = Rates::new(Some(1), None).unwrap();
        let times: Vec<_> = (0..4).map(|_| rates.reserve(0, 9)).collect();
        assert_eq!(times, [0, MINUTE, 2 * MINUTE, 3 * MINUTE]);
    }

    #[test]
    fn unused_tokens_are_given_back() {
        let mut dear = Rates::new(None, Some(600)).unwrap();
        let mut settled = dear.clone();
        for rates in [&mut dear, &mut settled] {
            rates.reserve(0, 500);
        }
        settled.settle(500, 50);
        assert!(settled.reserve(0, 10) < dear.reserve(0, 10));
    }

    #[test]
    fn what_is_given_back_lets_nobody_overtake() {
        let mut rates = Rates::new(None, Some(600)).unwrap();
        let times = [500, 500].map(|tokens| rates.reserve(0, tokens));
        rates.settle(500, 0);
        rates.settle(500, 0);
        assert!(times[1] > 0);
        assert_eq!(rates.reserve(0, 1), times[1]);
    }

    #[test]
    fn nothing_limited_is_no_limiter() {
        assert!(Rates::new(None, None).is_none());
    }

    proptest! {
        #[test]
        fn no_minute_holds_more_than_the_limits(
            rpm in 1u32..200, tpm in 100u32..5000,
            takers in prop::collection::vec((0u64..3 * SECOND, 0u64..100), 1..150),
        ) {
            let mut rates = Rates::new(Some(rpm), Some(tpm)).unwrap();
            let (mut now, mut last) = (0, 0);
            let (mut requests, mut tokens) = (vec![], vec![]);
            for (gap, cost) in takers {
                now += gap;
                let at = rates.reserve(now, cost);
                prop_assert!(at >= now && at >= last, "goes at {at}, came at {now}, last at {last}");
                last = at;
                requests.push((at, 1));
                tokens.push((at, cost));
            }
            prop_assert!(busiest_minute(&requests) <= u64::from(rpm));
            prop_assert!(busiest_minute(&tokens) <= u64::from(tpm));
        }

        #[test]
        fn corrected_tokens_count_as_what_they_were(
            tpm in 500u32..5000,
            takers in prop::collection::vec((1u64..400, 0u64..100), 1..80),
        ) {
            let mut rates = Rates::new(None, Some(tpm)).unwrap();
            let mut tokens = vec![];
            for (guess, share) in takers {
                let actual = guess * share / 100;
                // Asked only when the one before is back, as with one call in flight.
                tokens.push((rates.reserve(tokens.last().map_or(0, |t: &(u64, u64)| t.0), guess), actual));
                rates.settle(guess, actual);
            }
            prop_assert!(busiest_minute(&tokens) <= u64::from(tpm));
        }

        #[test]
        fn the_rate_is_used_up(rpm in 1u32..2000) {
            let mut rates = Rates::new(Some(rpm), None).unwrap();
            let end = (0..3 * rpm).map(|_| rates.reserve(0, 0)).last().unwrap();
            // Three minutes' worth takes no more than 3% over three minutes.
            prop_assert!(end <= 3 * MINUTE + MINUTE / 10, "{end}");
        }
    }
}
