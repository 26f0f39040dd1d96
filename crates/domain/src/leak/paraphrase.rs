//! The answer's content words in another form or order.

use super::{
    Leak, Rule, lexicon,
    view::{Answer, View},
};

/// From this share of the reference's weight on, a rewrite gives it away.
const SHARE: f64 = 0.5;

/// References with more content words than this are texts, where some overlap is natural.
const SHORT: usize = 4;

pub(super) fn rule(view: &View) -> Option<Leak> {
    let right = view
        .right
        .iter()
        .map(|a| share(view, a))
        .fold(0.0, f64::max);
    if right < SHARE || view.is_listing() {
        return None;
    }
    // Choices that are all described alike give nothing away.
    let alike = view
        .wrong
        .iter()
        .filter(|w| share(view, w) >= SHARE)
        .count();
    if alike > 0 && alike * 2 >= view.wrong.len() {
        return None;
    }
    let percent = (100.0 * right).round();
    Some(Leak::new(
        Rule::Paraphrase,
        format!("{percent} % of the answer's content words were added in some form"),
    ))
}

/// The weighted share of an answer's content words, not in the original, that the rewrite adds in some form.
fn share(view: &View, answer: &Answer) -> f64 {
    let mut wanted: Vec<&str> = Vec::new();
    let content = || answer.words.iter().filter(|w| is_telling(w));
    for word in content() {
        if !view.knows_stem(word) && !wanted.contains(&word.as_str()) {
            wanted.push(word);
        }
    }
    let added = view
        .new_words()
        .map(|i| view.rewrite.words[i].text.as_str());
    let added: Vec<&str> = added.filter(|w| !lexicon::is_stop(w)).collect();
    let (mut total, mut found, mut hits) = (0.0, 0.0, 0);
    for word in &wanted {
        let weight = weight(view, word);
        total += weight;
        if added.iter().any(|a| lexicon::akin(a, word)) {
            found += weight;
            hits += 1;
        }
    }
    let plain = wanted.len() == 1 && (lexicon::is_common(wanted[0]) || wanted[0].len() < 4);
    let enough = if content().count() > SHORT {
        hits >= 3
    } else {
        hits >= 1 && !plain
    };
    if enough && total > 0.0 {
        found / total
    } else {
        0.0
    }
}

/// Whether a word of the reference can be paraphrased: numbers are compared elsewhere.
fn is_telling(word: &str) -> bool {
    lexicon::is_content(word)
        && !lexicon::is_asking(word)
        && !word.starts_with(|c: char| c.is_ascii_digit())
}

/// Rare words say more: words of the context, of other choices, and those that tasks are worded with, less.
fn weight(view: &View, word: &str) -> f64 {
    let shared =
        view.wrong.iter().any(|w| w.words.iter().any(|x| x == word)) || view.context.contains(word);
    if shared || lexicon::is_common(word) {
        0.3
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{multiple, open};

    #[test]
    fn forms_of_the_right_choice() {
        let choices = ["Distance from the Sun", "The tilt of the axis"];
        let ask = "Why do we have seasons?";
        assert!(
            multiple(
                ask,
                "Why do we have seasons? Think how the axis is tilted.",
                &choices,
                1
            )
            .is_some()
        );
        assert!(multiple(ask, "Why do we have seasons in the year?", &choices, 1).is_none());
    }

    #[test]
    fn a_topic_word_is_no_paraphrase() {
        let reference =
            "Blot the stain, cover it with salt, rinse with cold water and wash with detergent.";
        let ask = "How do you remove a wine stain?";
        assert!(
            open(
                ask,
                "How do you remove a wine stain from cotton? Wash in steps.",
                reference
            )
            .is_none()
        );
    }
}
