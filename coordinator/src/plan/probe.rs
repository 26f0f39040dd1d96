//! The leak guard's probe: what is asked of the target model about a rewrite, and what the answers say.
//!
//! Pure functions, so that the planner and the measurement over the leak corpus (`tests/leak_probe.rs`) run the very
//! same rule. The question is read before the added words on purpose: it tells the model the topic and the kind of
//! answer ("a year", "yes or no"), so that repeating these raises nothing and only news about the answer does.

use domain::{
    call::Call,
    example::Example,
    leak::{self, Leak},
};

/// How many references of other examples each probe scores beside its own.
const STRANGERS: usize = 4;
/// The most characters of the question that are read before the added words: its end, which is where questions ask.
const QUESTION: usize = 1_000;

/// The reference of the example at `at`, then those of the next examples round the board that are others; nothing
/// where it has no reference text.
pub fn texts<'a, I>(examples: I, at: usize) -> Vec<&'a str>
where
    I: ExactSizeIterator<Item = &'a Example> + Clone,
{
    let own = examples.clone().nth(at).and_then(Example::reference_text);
    let Some(own) = own else {
        return Vec::new();
    };
    let others = examples.len().saturating_sub(1);
    let strangers = examples
        .cycle()
        .skip(at + 1)
        .take(others)
        .filter_map(Example::reference_text)
        .filter(|t| *t != own)
        .take(STRANGERS);
    [own].into_iter().chain(strangers).collect()
}

/// Two calls: the texts after the question and the added words, and after the question alone. `None` where the
/// rewrite adds nothing, or there is no stranger to compare with.
pub fn calls(example: &Example, rewrite: &str, texts: &[&str]) -> Option<[Call; 2]> {
    let added = leak::added_words(&example.input, rewrite);
    let added = added.trim();
    if added.is_empty() || texts.len() < 2 {
        return None;
    }
    let call = |prefix: String| Call::Loglik {
        messages: Vec::new(),
        prefix,
        continuations: texts.iter().map(|t| format!(" {t}")).collect(),
    };
    let question = end(&example.input);
    Some([
        call(format!("{question}\n\n{added}\n\nAnswer:")),
        call(format!("{question}\n\nAnswer:")),
    ])
}

fn end(question: &str) -> &str {
    let start = question.char_indices().rev().nth(QUESTION - 1);
    start.map_or(question, |(at, _)| &question[at..])
}

/// What the added words do to each text: the example's own first. From the log-likelihoods that the two calls gave.
pub fn lifts(texts: &[&str], with_added: &[f64], without: &[f64]) -> Vec<f64> {
    let pairs = with_added.iter().zip(without).zip(texts);
    // The space before it belongs to the continuation.
    pairs
        .map(|((with, without), text)| leak::lift(*with, *without, text.len() + 1))
        .collect()
}

/// Which rewrites of a round leak, in their order: each by its lifts, all by the threshold that the strangers of the
/// whole round set. A rewrite without lifts passes.
pub fn judge(round: &[Vec<f64>]) -> Vec<Option<Leak>> {
    let strange: Vec<f64> = round
        .iter()
        .flat_map(|lifts| lifts.iter().skip(1).copied())
        .collect();
    let threshold = leak::threshold(&strange);
    let own = round.iter().map(|lifts| lifts.first());
    own.map(|lift| leak::probe(*lift?, threshold)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::example::Reference;

    fn example(input: &str, reference: &str) -> Example {
        Example {
            input: input.into(),
            context: None,
            choices: Vec::new(),
            reference: Reference::Text {
                text: reference.into(),
            },
            group: None,
        }
    }

    #[test]
    fn the_next_others_are_the_strangers() {
        let board = ["a", "b", "a", "c", "d", "e", "f"].map(|r| example("q", r));
        assert_eq!(texts(board.iter(), 2), ["a", "c", "d", "e", "f"]);
        assert_eq!(texts(board.iter(), 5), ["e", "f", "a", "b", "a"]);
        assert_eq!(texts(board[..1].iter(), 0), ["a"]);
    }

    #[test]
    fn both_calls_read_the_question_and_one_the_added_words() {
        let asked = example("What is the capital of France?", "Paris");
        let calls = calls(
            &asked,
            "What is the capital of France, Lutetia?",
            &["Paris", "7"],
        );
        let prefixes = calls.unwrap().map(|call| match call {
            Call::Loglik { prefix, .. } => prefix,
            Call::Generate { .. } => panic!("not a probe"),
        });
        assert_eq!(
            prefixes,
            [
                "What is the capital of France?\n\nLutetia\n\nAnswer:",
                "What is the capital of France?\n\nAnswer:"
            ]
        );
    }

    #[test]
    fn nothing_is_asked_about_nothing() {
        let asked = example("Why?", "because");
        assert!(calls(&asked, "Why?", &["because", "7"]).is_none());
        assert!(calls(&asked, "Why, sun?", &["because"]).is_none());
    }

    #[test]
    fn of_a_long_question_the_end_is_read() {
        let long = "é".repeat(QUESTION) + "why?";
        assert_eq!(end(&long).chars().count(), QUESTION);
        assert!(end(&long).ends_with("éwhy?"));
        assert_eq!(end("why?"), "why?");
    }

    #[test]
    fn strangers_set_the_threshold_for_the_whole_round() {
        let mut round = vec![vec![0.0, 0.1, -0.1, 0.2, 0.0]; 20];
        round[3][0] = 5.0;
        round[4].clear();
        let leaks = judge(&round);
        let found: Vec<usize> = (0..round.len()).filter(|&i| leaks[i].is_some()).collect();
        assert_eq!(found, [3]);
        assert!(
            judge(&round[2..5]).iter().all(Option::is_none),
            "too few strangers"
        );
    }
}
