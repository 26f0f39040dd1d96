//! What calls cost, in whole micro-dollars: integers only, rounded up.

use crate::WorstCase;
use domain::call::{Call, Message, Usage};

/// A price table: micro-dollars per million tokens (3 US dollars per million are `3_000_000`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// For tokens read.
    pub input: u64,
    /// For tokens written.
    pub output: u64,
}

impl Price {
    /// The price of some tokens in micro-dollars, rounded up once for the whole.
    pub fn cost(&self, usage: Usage) -> u64 {
        let read = u128::from(usage.prompt_tokens) * u128::from(self.input);
        let written = u128::from(usage.completion_tokens) * u128::from(self.output);
        let micros = read.saturating_add(written).div_ceil(1_000_000);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    /// Tokens and their price, as a bound to reserve.
    pub fn worst_case(&self, usage: Usage) -> WorstCase {
        let tokens = usage.prompt_tokens.saturating_add(usage.completion_tokens);
        WorstCase {
            tokens,
            cost_micros: self.cost(usage),
        }
    }
}

/// Room for what a chat template adds to a message beside its text.
const TEMPLATE_TOKENS: u64 = 8;

/// The most tokens one sending of a call can use: a token is never shorter than a byte, and the reply
/// never longer than `max_tokens`. A scored call reads its shared text once per continuation.
pub fn most_usage(call: &Call) -> Usage {
    let template = |m: &[Message]| TEMPLATE_TOKENS * m.len() as u64;
    let bytes = call.prompt_bytes() as u64;
    match call {
        Call::Generate { messages, sampling } => Usage {
            prompt_tokens: bytes + template(messages),
            completion_tokens: u64::from(sampling.max_tokens),
        },
        Call::Loglik {
            messages,
            continuations,
            ..
        } => {
            let own: u64 = continuations.iter().map(|c| c.len() as u64).sum();
            let shared = bytes.saturating_sub(own) + template(messages) + TEMPLATE_TOKENS;
            let prompt_tokens = shared.saturating_mul(continuations.len() as u64) + own;
            Usage {
                prompt_tokens,
                completion_tokens: 0,
            }
        }
    }
}

/// Both added, without overflow: the counts come from a server.
pub(crate) fn sum(a: Usage, b: Usage) -> Usage {
    Usage {
        prompt_tokens: a.prompt_tokens.saturating_add(b.prompt_tokens),
        completion_tokens: a.completion_tokens.saturating_add(b.completion_tokens),
    }
}

/// `usage`, so many times.
pub(crate) fn times(usage: Usage, n: u64) -> Usage {
    Usage {
        prompt_tokens: usage.prompt_tokens.saturating_mul(n),
        completion_tokens: usage.completion_tokens.saturating_mul(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::Sampling;
    use proptest::prelude::*;

    fn usage(prompt_tokens: u64, completion_tokens: u64) -> Usage {
        Usage {
            prompt_tokens,
            completion_tokens,
        }
    }

    #[test]
    fn a_fraction_of_a_micro_dollar_is_a_whole_one() {
        let price = Price {
            input: 150_000,
            output: 600_000,
        };
        assert_eq!(price.cost(usage(0, 0)), 0);
        assert_eq!(price.cost(usage(1, 0)), 1);
        assert_eq!(price.cost(usage(1_000_000, 1_000_000)), 750_000);
        assert_eq!(price.cost(usage(20, 1)), 4);
        assert_eq!(price.cost(usage(20, 2)), 5);
    }

    #[test]
    fn shared_text_is_read_once_per_continuation() {
        let call = |continuations: &[&str]| Call::Loglik {
            messages: vec![],
            prefix: "0123456789".into(),
            continuations: continuations.iter().map(|c| (*c).to_owned()).collect(),
        };
        assert_eq!(most_usage(&call(&["ab"])), usage(10 + 8 + 2, 0));
        assert_eq!(most_usage(&call(&["ab", "cd", "e"])), usage(3 * 18 + 5, 0));
        assert_eq!(most_usage(&call(&[])), usage(0, 0));
    }

    #[test]
    fn a_written_reply_is_bounded_by_its_text_and_max_tokens() {
        let messages = vec![Message::system("abc"), Message::user("défg")];
        let sampling = Sampling {
            max_tokens: 7,
            ..Sampling::default()
        };
        let call = Call::Generate { messages, sampling };
        assert_eq!(most_usage(&call), usage(call.prompt_bytes() as u64 + 16, 7));
    }

    proptest! {
        #[test]
        fn cost_is_the_exact_price_rounded_up(
            p in 0..u64::from(u32::MAX), c in 0..u64::from(u32::MAX),
            input in 0..100_000_000u64, output in 0..100_000_000u64,
        ) {
            let exact = u128::from(p) * u128::from(input) + u128::from(c) * u128::from(output);
            let cost = u128::from(Price { input, output }.cost(usage(p, c)));
            prop_assert!(cost * 1_000_000 >= exact);
            prop_assert!(cost == 0 || (cost - 1) * 1_000_000 < exact);
        }

        #[test]
        fn more_tokens_never_cost_less_and_nothing_overflows(
            a in any::<(u64, u64)>(), b in any::<(u64, u64)>(), price in any::<(u64, u64)>(),
        ) {
            let price = Price { input: price.0, output: price.1 };
            let (a, b) = (usage(a.0, a.1), usage(b.0, b.1));
            let both = price.cost(sum(a, b));
            prop_assert!(both >= price.cost(a) && both >= price.cost(b));
            prop_assert!(price.cost(times(a, 3)) >= price.cost(a));
        }
    }
}
