//! Instructions that please the grader and ask for no work: one certain answer, labels alone, no words.

use super::quoted;
use crate::{pool::Pool, refused::Refused};
use domain::proposal::fold;
use std::collections::BTreeSet;

/// Answers of examples that are looked for where the task has no labels: those of the first so many that have one.
const ANSWERS: usize = 200;
/// And none with more words.
const ANSWER_WORDS: usize = 4;
/// A label with more words is not looked for after an order.
const LONGEST: usize = 12;

/// Words that ask for an answer.
const ASKS: [&str; 16] = [
    "answer", "say", "reply", "respond", "write", "output", "return", "give", "choose", "pick",
    "select", "print", "predict", "classify", "label", "mark",
];
/// Words that may stand between the asking and the answer.
const FILLERS: &str = "with the a an as is it by word label answer letter choice option class category sentiment number just only simply always \
                       this text input them everything";
/// Phrases that say that the input does not matter.
const WHATEVER: [&str; 17] = [
    "always",
    "whatever",
    "regardless",
    "no matter",
    "every time",
    "each time",
    "in every case",
    "in all cases",
    "in any case",
    "irrespective",
    "for every input",
    "for all inputs",
    "for any input",
    "every input",
    "everything",
    "all inputs",
    "never anything else",
];
/// Words that make an answer depend on something.
const DEPENDS: [&str; 16] = [
    "if",
    "when",
    "unless",
    "where",
    "whether",
    "for a",
    "for an",
    "in case",
    "otherwise",
    "except",
    "that",
    "which",
    "means",
    "or",
    "than",
    "whenever",
];

pub fn judge(text: &str, pool: &Pool) -> Result<(), Refused> {
    let folded = fold(text);
    let mut starts = pool.members.iter().filter(|m| m.operator.is_none());
    if starts.any(|m| fold(m.words()) == folded) {
        return Ok(());
    }
    let labels = pool.task.labels.iter().map(|l| fold(l));
    let labels: BTreeSet<String> = labels.filter(|l| !l.is_empty()).collect();
    let answers = answers(pool, &labels);
    let whole = is_order(&folded, &answers);
    let fixed = whole.or_else(|| sentences(text).find_map(|s| fixed(&s, &labels, &answers)));
    match fixed {
        Some(answer) => Err(Refused::FixedAnswer {
            answer: quoted(&answer),
        }),
        None if !has_words(&folded) || only(&folded, &labels) => {
            Err(Refused::NoWords { text: quoted(text) })
        }
        None => Ok(()),
    }
}

/// Folded sentences.
fn sentences(text: &str) -> impl Iterator<Item = String> {
    let ends = |c: char| matches!(c, '.' | '!' | '?' | ';' | '\n' | '。');
    text.split(ends).map(fold).filter(|s| !s.is_empty())
}

/// Labels, or the short answers of the examples, or letters where there are choices.
fn answers(pool: &Pool, labels: &BTreeSet<String>) -> BTreeSet<String> {
    if !labels.is_empty() {
        return labels.clone();
    }
    let short = |a: &String| !a.is_empty() && a.split(' ').count() <= ANSWER_WORDS;
    let of_examples = pool.examples.iter().filter_map(|k| k.answer.as_deref());
    let mut all: BTreeSet<String> = of_examples.map(fold).filter(short).take(ANSWERS).collect();
    if pool.examples.iter().any(|k| !k.example.choices.is_empty()) {
        all.extend(('a'..='j').map(String::from));
    }
    all
}

/// "Answer X", and nothing else: the answer.
fn is_order(sentence: &str, answers: &BTreeSet<String>) -> Option<String> {
    let words: Vec<&str> = sentence.split(' ').collect();
    let at = words.iter().position(|w| ASKS.contains(w))?;
    let leads = words[..at]
        .iter()
        .all(|w| is_filler(w) || *w == "please" || *w == "you" || *w == "must");
    let end = answer_at_end(&words[at + 1..], answers)?;
    leads.then_some(end)
}

/// The answer that ends these words, with nothing but fillers before it.
fn answer_at_end(words: &[&str], answers: &BTreeSet<String>) -> Option<String> {
    let fillers = words.iter().take_while(|w| is_filler(w)).count();
    let from = (0..=fillers).filter(|from| words.len() - from <= LONGEST);
    let mut ends = from.map(|from| words[from..].join(" "));
    ends.find(|end| answers.contains(end))
}

fn is_filler(word: &str) -> bool {
    FILLERS.split(' ').any(|f| f == word)
}

/// The one answer that a sentence asks for whatever the input is.
fn fixed(sentence: &str, labels: &BTreeSet<String>, answers: &BTreeSet<String>) -> Option<String> {
    let padded = format!(" {sentence} ");
    let has = |phrase: &str| padded.contains(&format!(" {phrase} "));
    if !WHATEVER.iter().any(|w| has(w)) || DEPENDS.iter().any(|w| has(w)) {
        return None;
    }
    let words: Vec<&str> = sentence.split(' ').collect();
    let orders = (0..words.len()).filter(|&at| ASKS.contains(&words[at]));
    let mut orders = orders.map(|at| &words[at + 1..]);
    match labels.len() {
        0 => orders.find_map(|rest| answer_in(rest, answers)),
        // There is but one answer.
        1 => None,
        _ => orders.find_map(|rest| only_label(rest, labels)),
    }
}

/// The answer that an order ends in, or that stands before what says that the input does not matter ("answer X whatever
/// it is").
fn answer_in(words: &[&str], answers: &BTreeSet<String>) -> Option<String> {
    let goes_on = |w: &&str| WHATEVER.contains(w) || ["no", "for", "in"].contains(w);
    let end = words.iter().position(goes_on).unwrap_or(words.len());
    let of_end = |end: usize| answer_at_end(&words[..end], answers);
    of_end(words.len()).or_else(|| of_end(end))
}

/// The label that an order begins with, if it names no other.
fn only_label(words: &[&str], labels: &BTreeSet<String>) -> Option<String> {
    let fillers = words.iter().take_while(|w| is_filler(w)).count();
    let begins = |label: &&String| {
        let label: Vec<&str> = label.split(' ').collect();
        (0..=fillers).any(|from| words[from..].starts_with(&label))
    };
    let label = labels.iter().filter(begins).max_by_key(|l| l.len())?;
    let after = format!(" {} ", words.join(" ")).replace(&format!(" {label} "), " ");
    let another = labels.iter().any(|l| after.contains(&format!(" {l} ")));
    (!another).then(|| label.clone())
}

/// Whether a text is nothing but labels and joining words, or mostly the same labels over and over.
fn only(folded: &str, labels: &BTreeSet<String>) -> bool {
    if labels.is_empty() {
        return false;
    }
    let mut longest: Vec<&String> = labels.iter().filter(|l| !l.is_empty()).collect();
    longest.sort_by_key(|l| std::cmp::Reverse(l.len()));
    let mut rest = format!(" {} ", folded.replace(' ', "  "));
    let mut named = 0;
    for label in longest {
        let label = format!(" {} ", label.replace(' ', "  "));
        named += rest.matches(&label).count();
        rest = rest.replace(&label, " ");
    }
    let left = rest
        .split_whitespace()
        .filter(|w| !["or", "and", "label", "labels"].contains(w))
        .count();
    named > 0 && (left == 0 || (named > 2 * labels.len() && named >= left))
}

/// Whether there are words of some language: at least two, and as many as there are other things.
fn has_words(folded: &str) -> bool {
    let (mut words, mut others) = (0, 0);
    for word in folded.split(' ').filter(|w| !w.is_empty()) {
        match is_word(word) {
            true => words += 1,
            // Numbers and single letters are neither.
            false if word.chars().count() == 1 || word.chars().all(|c| c.is_ascii_digit()) => {}
            false => others += 1,
        }
    }
    // Scripts without spaces write a sentence as one word.
    let unspaced = words == 1 && !folded.is_ascii() && folded.chars().count() >= 4;
    (words >= 2 || unspaced) && words >= others
}

/// ASCII words have a vowel, not too many consonants in a row, and no letter over and over; of other scripts any word is
/// one that is mostly letters.
fn is_word(word: &str) -> bool {
    if !word.is_ascii() {
        let letters = word.chars().filter(|c| c.is_alphabetic()).count();
        return 2 * letters >= word.chars().count();
    }
    let letters: Vec<char> = word.chars().collect();
    let vowel = |c: &char| "aeiouy".contains(*c);
    let run = |same: &dyn Fn(&[char]) -> bool, n| letters.windows(n).any(same);
    let harsh = run(
        &|w| w.iter().all(|c| c.is_ascii_lowercase() && !vowel(c)),
        6,
    );
    let stuck = run(&|w| w.iter().all(|c| Some(c) == w.first()), 4);
    let all_letters = letters.iter().all(char::is_ascii_alphabetic);
    (2..=24).contains(&letters.len())
        && all_letters
        && letters.iter().any(vowel)
        && !harsh
        && !stuck
}
