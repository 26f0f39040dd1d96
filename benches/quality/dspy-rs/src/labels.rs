//! Which label a reply names: what `labels.py` and the product's grader `label` do.

use domain::proposal::fold;
use std::{cmp::Reverse, collections::BTreeSet};

/// The label that a reply settles on, or none where it names none or several.
pub fn verdict<'a>(reply: &str, labels: &'a [String]) -> Option<&'a str> {
    match Vec::from_iter(named(reply, labels))[..] {
        [one] => Some(&labels[one]),
        _ => None,
    }
}

/// Labels in a reply as whole words. Longer ones go first and use their words up.
fn named(reply: &str, labels: &[String]) -> BTreeSet<usize> {
    let folded: Vec<String> = labels.iter().map(|label| fold(label)).collect();
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.retain(|i| !folded[*i].is_empty());
    order.sort_by_key(|i| Reverse(folded[*i].len()));
    let mut rest = format!(" {} ", fold(reply.trim()));
    let mut found = BTreeSet::new();
    for i in order {
        let name = format!(" {} ", folded[i]);
        if rest.contains(&name) {
            found.insert(i);
            // A line break is in no name, so what stood on either side cannot join.
            rest = rest.replace(&name, " \n ");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        labels: Vec<String>,
        reply: String,
        names: Option<String>,
    }

    #[test]
    fn replies_are_read_as_the_bench_reads_them() {
        let cases = include_str!("../../tests/replies.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert!(cases.len() > 200);
        for case in &cases {
            let said = verdict(&case.reply, &case.labels);
            assert_eq!(said, case.names.as_deref(), "{:?}", case.reply);
        }
    }
}
