//! Properties of all rules together, and what the rules' own tests share.

use super::*;
use proptest::prelude::*;

/// An open question.
pub(super) fn open(original: &str, rewrite: &str, reference: &str) -> Option<Leak> {
    let reference = Some(reference);
    text_rules(&Case {
        original,
        rewrite,
        context: None,
        choices: &[],
        right: None,
        reference,
    })
}

/// A multiple-choice question.
pub(super) fn multiple(
    original: &str,
    rewrite: &str,
    choices: &[&str],
    right: usize,
) -> Option<Leak> {
    let choices: Vec<String> = choices.iter().map(|c| (*c).to_owned()).collect();
    let right = Some(right);
    text_rules(&Case {
        original,
        rewrite,
        context: None,
        choices: &choices,
        right,
        reference: None,
    })
}

#[test]
fn no_detail_repeats_the_answer() {
    let leak = open("Name the capital.", "Name the capital, Paris.", "Paris").unwrap();
    assert!(!leak.detail.to_lowercase().contains("paris"));
}

#[test]
fn without_an_answer_only_answerless_rules_fire() {
    let case = |rewrite| Case {
        original: "Name it.",
        rewrite,
        context: None,
        choices: &[],
        right: None,
        reference: None,
    };
    assert_eq!(text_rules(&case("Name it, please. Paris?")), None);
    assert_eq!(
        text_rules(&case("Name it. The correct answer is Paris."))
            .unwrap()
            .rule,
        Rule::Announced
    );
}

/// Words with all that the rules look for: numbers, letters, codes, other scripts, marks.
fn anything() -> impl Strategy<Value = String> {
    let words = "[a-zA-Z]{1,8}|[0-9]{1,4}|[A-D]|not|option|first|0x[0-9a-f]{2,6}|[.-]{1,4}|\\PC{1,3}|[?.,:_]";
    proptest::collection::vec(words, 0..30).prop_map(|w| w.join(" "))
}

proptest! {
    #[test]
    fn never_panics_and_unchanged_is_never_a_leak(
        original in anything(), rewrite in anything(), choices in proptest::collection::vec(anything(), 0..5),
        right in proptest::option::of(0usize..6), reference in proptest::option::of(anything()),
    ) {
        let case = Case { original: &original, rewrite: &rewrite, context: Some(&rewrite), choices: &choices, right,
            reference: reference.as_deref() };
        let _ = text_rules(&case);
        let _ = added_words(&original, &rewrite);
        prop_assert_eq!(text_rules(&Case { rewrite: &original, ..case }), None);
        prop_assert_eq!(added_words(&original, &original), "");
    }

    #[test]
    fn the_originals_own_words_are_never_a_verbatim_leak(
        words in proptest::collection::vec("[a-z]{3,9}", 1..12), order in any::<u64>(), answer in 0usize..12,
    ) {
        let original = words.join(" ");
        let mut shuffled = words.clone();
        shuffled.rotate_left(order as usize % words.len());
        let reference = &words[answer % words.len()];
        let leak = open(&original, &shuffled.join(" "), reference);
        prop_assert!(leak.is_none_or(|l| l.rule != Rule::Verbatim && l.rule != Rule::Paraphrase));
    }

    #[test]
    fn an_answer_in_the_added_words_is_found(
        words in proptest::collection::vec("[a-z]{3,9}", 1..12), reference in "[b-df-hj-np-tv-z]{5}[aeiou][b-df-hj-np-tv-z]{3}",
        case in any::<bool>(),
    ) {
        let original = words.join(" ");
        prop_assume!(!original.contains(&reference));
        let shown = if case { reference.to_uppercase() } else { reference.clone() };
        let rewrite = [original.as_str(), &shown].join(" ");
        prop_assert!(open(&original, &rewrite, &reference).is_some());
    }
}
