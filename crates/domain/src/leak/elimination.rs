//! Wrong choices are ruled out.

use super::{Leak, Rule, view::View};

const NEGATIONS: [&str; 25] = [
    "not",
    "isn",
    "isnt",
    "wasn",
    "never",
    "neither",
    "nor",
    "no",
    "exclude",
    "excluding",
    "ignore",
    "discard",
    "except",
    "unlike",
    "than",
    "without",
    "cannot",
    "wrongly",
    "mistake",
    "mistaken",
    "wrong",
    "incorrect",
    "false",
    "other",
    "eliminate",
];

/// How many words before a name a negation reaches.
const REACH: usize = 4;

pub(super) fn rule(view: &View) -> Option<Leak> {
    let named = view.wrong_mentions();
    let of = view.wrong.len();
    let right = view.right.iter().find_map(|a| view.mention(a));
    let leak = |what: &str| {
        let detail = format!("{what} {} of {of} wrong choices", named.len());
        Some(Leak::new(Rule::Elimination, detail))
    };
    let negated = named.iter().any(|&i| is_negated(view, i));
    if let Some(right) = right {
        let spared =
            negated && !is_negated(view, right) && named.iter().all(|&i| is_negated(view, i));
        return if spared {
            leak("the added words rule out")
        } else {
            None
        };
    }
    // All choices side by side, the right one among the original's own words.
    let sentence = named.first().map(|&i| view.rewrite.words[i].sentence);
    if sentence.is_some_and(|s| view.right.iter().any(|a| view.is_in_sentence(a, s))) {
        return None;
    }
    if named.len() >= 2 && named.len() * 2 >= of {
        return leak("the added words name only wrong choices:");
    }
    let denied = named.iter().any(|&i| is_denied(view, i));
    if denied {
        leak("the added words deny")
    } else {
        None
    }
}

/// Whether a negation stands shortly before the name, in the same sentence.
fn is_negated(view: &View, index: usize) -> bool {
    let words = &view.rewrite.words;
    let first = index.saturating_sub(REACH);
    let near = words[first..index]
        .iter()
        .filter(|w| w.sentence == words[index].sentence);
    near.clone().any(|w| NEGATIONS.contains(&w.text.as_str()))
        || near
            .zip(&words[first + 1..])
            .any(|(a, b)| a.text == "rule" && b.text == "out")
}

/// Whether anything in the name's sentence says that it is wrong.
fn is_denied(view: &View, index: usize) -> bool {
    let sentence = view.rewrite.words[index].sentence;
    let mut same = view.rewrite.words.iter().filter(|w| w.sentence == sentence);
    same.any(|w| NEGATIONS.contains(&w.text.as_str()) && w.text != "other" && w.text != "no")
        || is_negated(view, index)
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, tests::multiple};

    #[test]
    fn naming_only_wrong_choices() {
        let choices = ["Lyon", "Paris", "Nice", "Lille"];
        let ask = "What is the capital of France?";
        let rule =
            |text: &str| multiple(ask, &format!("{ask} {text}"), &choices, 1).map(|l| l.rule);
        assert_eq!(rule("It is not Lyon."), Some(Rule::Elimination));
        assert_eq!(
            rule("Forget about Lyon, Nice and Lille."),
            Some(Rule::Elimination)
        );
        assert_eq!(
            rule("Rule out the choices that are wrong, one by one."),
            None
        );
        assert_eq!(rule("Weigh Lyon, Paris, Nice and Lille."), None);
    }
}
