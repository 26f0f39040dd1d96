//! The answer is stated.

use super::{
    Leak, Rule, lexicon, number,
    view::{Answer, View},
};

/// This many words of a long reference in a row are a quotation.
const QUOTED: usize = 5;

/// If so many of them are new to the question and carry something; of a whole reference, one.
const TELLING: usize = 3;

pub(super) fn rule(view: &View) -> Option<Leak> {
    if stated(view).is_some() {
        return Some(Leak::new(
            Rule::Verbatim,
            "the added words state the answer",
        ));
    }
    if view.right.iter().any(|a| as_sum(view, a)) {
        return Some(Leak::new(
            Rule::Verbatim,
            "a sum that was added has the answer as its result",
        ));
    }
    if view.right.iter().any(|a| as_code(view, a)) {
        return Some(Leak::new(
            Rule::Verbatim,
            "the added text holds the answer's characters",
        ));
    }
    let words = view
        .right
        .iter()
        .map(|a| quoted(view, a))
        .max()
        .unwrap_or(0);
    (words >= QUOTED).then(|| {
        Leak::new(
            Rule::Verbatim,
            format!("{words} words of the reference in a row were added"),
        )
    })
}

/// Where the rewrite states the answer, unless it names the other choices in the same breath.
pub(super) fn stated(view: &View) -> Option<usize> {
    if view.is_listing() {
        return None;
    }
    let places = view
        .right
        .iter()
        .filter(|a| a.words.len() <= QUOTED)
        .filter_map(|a| view.mention(a));
    places.chain(relabelled(view)).next()
}

/// A label that the original offers beside others ("positive or negative") and the rewrite repeats alone.
fn relabelled(view: &View) -> Option<usize> {
    let words = &view.original.words;
    let answer = view
        .right
        .iter()
        .find(|a| a.words.len() == 1 && view.knows(&a.words[0]))?;
    let at = words.iter().position(|w| w.text == answer.words[0])?;
    let or = |i: usize| words.get(i).is_some_and(|w| w.text == "or");
    let other = if or(at + 1) {
        words.get(at + 2)?
    } else if at >= 2 && or(at - 1) {
        &words[at - 2]
    } else {
        return None;
    };
    let more = |label: &str| {
        let before = words.iter().filter(|w| w.text == label).count();
        view.rewrite
            .words
            .iter()
            .filter(|w| w.text == label)
            .count()
            > before
    };
    let alone = more(&answer.words[0]) && !more(&other.text);
    alone
        .then(|| {
            view.rewrite
                .words
                .iter()
                .rposition(|w| w.text == answer.words[0])
        })
        .flatten()
}

fn as_sum(view: &View, answer: &Answer) -> bool {
    let Some(wanted) = answer.number else {
        return false;
    };
    let sums = number::sums(&view.rewrite);
    sums.iter()
        .any(|(v, operands)| *v == wanted && !operands.iter().all(|o| view.knows_number(*o)))
}

/// Answers that are more symbols than words ("s[::-1]", "O(log n)"): compared without white space.
fn as_code(view: &View, answer: &Answer) -> bool {
    let pack = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    let wanted = pack(&answer.text.clean);
    let symbols = wanted
        .chars()
        .filter(|c| !c.is_alphanumeric() && !matches!(c, '.' | ',' | '\'' | '-'))
        .count();
    symbols >= 1
        && wanted.len() >= 3
        && answer.words.len() <= QUOTED
        && pack(&view.rewrite.clean).contains(&wanted)
        && !pack(&view.original.clean).contains(&wanted)
        && !view.is_listing()
}

/// The longest stretch of a long reference in the rewrite with enough words that carry something and are new in
/// any form ("replication" is not, where "replicate" was asked about).
fn quoted(view: &View, answer: &Answer) -> usize {
    let words = &view.rewrite.words;
    let fresh: Vec<bool> = (0..words.len())
        .map(|i| view.is_new_stem(i) && lexicon::is_content(&words[i].text))
        .collect();
    let mut best = 0;
    for start in 0..words.len() {
        for from in 0..answer.words.len() {
            if words[start].text != answer.words[from] {
                continue;
            }
            let pairs = words[start..].iter().zip(&answer.words[from..]);
            let run = pairs.take_while(|(a, b)| a.text == **b).count();
            let needed = if run == answer.words.len() {
                1
            } else {
                TELLING
            };
            if run > best && fresh[start..start + run].iter().filter(|f| **f).count() >= needed {
                best = run;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::tests::{multiple, open};

    #[test]
    fn numbers_in_any_writing() {
        for text in [
            "It is forty-two.",
            "It is 42.",
            "It is 21 x 2.",
            "Es sind zweiundvierzig.",
        ] {
            assert!(
                open(
                    "What is 6 times 7?",
                    &format!("What is 6 times 7? {text}"),
                    "42"
                )
                .is_some(),
                "{text}"
            );
        }
        assert!(open("What is 6 times 7?", "Compute 6 x 7.", "42").is_none());
    }

    #[test]
    fn naming_every_choice_says_nothing() {
        let choices = ["Lyon", "Paris", "Nice"];
        let ask = "What is the capital of France?";
        assert!(
            multiple(
                ask,
                "What is the capital of France: Lyon, Paris or Nice?",
                &choices,
                1
            )
            .is_none()
        );
        assert!(multiple(ask, "What is the capital of France, Paris?", &choices, 1).is_some());
    }

    #[test]
    fn a_label_repeated_alone() {
        let ask = "Is the review positive or negative?";
        assert!(
            open(
                ask,
                "Is the review positive or negative? It is negative.",
                "negative"
            )
            .is_some()
        );
        assert!(
            open(
                ask,
                "Is the review positive or negative? Say positive or negative.",
                "negative"
            )
            .is_none()
        );
    }
}
