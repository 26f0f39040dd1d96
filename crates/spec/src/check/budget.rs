//! `[budget]`.

use super::Check;
use crate::types::Spec;

pub(super) fn check(c: &mut Check<'_>, spec: &Spec) {
    if let Some(usd) = spec.budget.usd {
        if spec.budget.limits().cost_micros == Some(0) {
            c.report.wrong(
                "budget.usd",
                format!("{usd} US dollars is less than a micro-dollar"),
            );
        }
        let free = |name: &&str| {
            spec.models
                .get(*name)
                .is_some_and(|m| m.prices() == (0.0, 0.0))
        };
        if c.called(spec).iter().all(free) {
            let message = "never binds, for no model that is called has a price: set \
                           price_in_usd_per_million and price_out_usd_per_million";
            c.report.warn("budget.usd", message);
        }
    }
}
