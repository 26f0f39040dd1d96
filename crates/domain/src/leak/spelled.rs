//! The answer is spelled out: letters one by one, gaps, initials, a claim about its letters.
//!
//! Claims are checked against the answer, so that "start your reply with a capital" is none.

use super::{
    Leak, Rule, number,
    text::{Text, Word, pattern},
    view::{Answer, View},
};
use regex::{Captures, Regex};
use std::sync::LazyLock;

pub(super) fn rule(view: &View) -> Option<Leak> {
    let leak = |what: &str| Some(Leak::new(Rule::Spelled, format!("the added words {what}")));
    let answers = || view.right.iter().filter(|a| a.words.len() <= 6);
    if answers().any(|a| joined(view, a)) {
        return leak("spell the answer in parts");
    }
    if answers().any(|a| lettered(view, a)) {
        return leak("spell the answer letter by letter");
    }
    if answers().any(|a| gapped(view, a)) {
        return leak("give the answer with gaps");
    }
    if answers().any(|a| acrostic(view, a)) {
        return leak("have the answer as their initials");
    }
    if answers().any(|a| claimed(view, a)) {
        return leak("say which letters the answer has");
    }
    None
}

/// Neighbouring words that join to the answer ("P-a-r-i-s", "chloro + phyll") and did not in the original.
fn joined(view: &View, answer: &Answer) -> bool {
    answer.letters.chars().count() >= 3
        && joins(&view.rewrite, answer)
        && !joins(&view.original, answer)
}

fn joins(text: &Text, answer: &Answer) -> bool {
    (0..text.words.len()).any(|start| {
        let mut rest = answer.letters.as_str();
        for (n, word) in text.words[start..].iter().enumerate() {
            match rest.strip_prefix(word.text.as_str()) {
                Some("") => return n + 1 > answer.words.len(),
                Some(left) => rest = left,
                None => return false,
            }
        }
        false
    })
}

/// Single letters in a row of the text, words between them ("P as in Papa, A as in Alfa") left out.
fn lettered(view: &View, answer: &Answer) -> bool {
    let single = |w: &&Word| w.text.chars().count() == 1 && w.text.chars().all(char::is_alphabetic);
    let fresh = |w: &&Word| {
        let written = &view.rewrite.clean[w.start..w.end];
        written != "a" && written != "I"
    };
    let letters = |skip: bool| -> String {
        let all = view
            .rewrite
            .words
            .iter()
            .filter(single)
            .filter(|w| !skip || fresh(w));
        all.map(|w| w.text.as_str()).collect()
    };
    let wanted = &answer.letters;
    let n = wanted.len();
    // From four letters on, most of the answer in order is enough.
    let needed = if n < 4 { n } else { n.min(4.max(n * 2 / 3)) };
    n >= 3
        && wanted.is_ascii()
        && [false, true]
            .iter()
            .any(|s| letters(*s).contains(&wanted[..needed]))
}

/// "er_s_on", "gr___": as long as a word of the answer, the letters that are there agree.
fn gapped(view: &View, answer: &Answer) -> bool {
    let agrees = |token: &str| {
        let gaps = token.chars().filter(|c| is_gap(*c)).count();
        let letters = token.chars().filter(|c| c.is_alphabetic()).count();
        let fits = |word: &String| {
            let same = |(a, b): (char, char)| is_gap(a) || a.to_lowercase().eq(std::iter::once(b));
            word.chars().count() == gaps + letters && token.chars().zip(word.chars()).all(same)
        };
        gaps >= 1 && letters >= 1 && gaps + letters >= 3 && answer.words.iter().any(fits)
    };
    view.rewrite
        .clean
        .split_whitespace()
        .map(|t| t.trim_matches(['.', ',', ';', ':', '"', '(', ')', '!']))
        .any(agrees)
}

fn is_gap(c: char) -> bool {
    matches!(c, '_' | '*' | '?' | '·' | '•' | '#')
}

/// Initials of consecutive words, or of sentences, that spell the answer (four letters or more).
fn acrostic(view: &View, answer: &Answer) -> bool {
    let wanted = &answer.letters;
    let spelled = |initials: fn(&Text) -> String| {
        initials(&view.rewrite).contains(wanted) && !initials(&view.original).contains(wanted)
    };
    wanted.len() >= 4 && (spelled(word_initials) || spelled(sentence_initials))
}

fn word_initials(text: &Text) -> String {
    text.words
        .iter()
        .filter_map(|w| w.text.chars().next())
        .collect()
}

fn sentence_initials(text: &Text) -> String {
    let mut last = usize::MAX;
    let opens = |w: &&Word| std::mem::replace(&mut last, w.sentence) != w.sentence;
    text.words
        .iter()
        .filter(opens)
        .filter_map(|w| w.text.chars().next())
        .collect()
}

type Check = fn(&Captures, &Answer) -> bool;

/// What can be said about a word's letters, and how it is checked.
static CLAIMS: LazyLock<Vec<(Regex, Check)>> = LazyLock::new(|| {
    let begin = r#"(?i-u)\b(?:starts|begins|opens|starting|beginning|start|begin) (?:with|in) (?:the |an? )?(?:letters? |syllable )?["'`]?([a-z]+)"#;
    let end = r#"(?i-u)\b(?:ends|finishes|ending|closes|end|and) (?:with|in) (?:the |an? )?(?:letters? |syllable )?["'`]?([a-z]+)"#;
    let claims: [(&str, Check); 10] = [
        (begin, |c, a| starts(a, &c[1])),
        (end, |c, a| {
            c[1].len() <= 4 && a.letters.ends_with(&c[1].to_lowercase())
        }),
        (
            r#"(?i-u)\b(?:first|initial) (?:letter )?(?:is|=) (?:an? |the )?(?:letter )?["'`]?([a-z])\b"#,
            |c, a| starts(a, &c[1]),
        ),
        (r#"(?i-u)\bfirst letters? (?:are |of its name)"#, |_, _| {
            true
        }),
        (r#"(?i-u)\binitials? (?:is|are) ["'`]?([a-z])\b"#, |c, a| {
            starts(a, &c[1])
        }),
        (
            r#"(?i-u)\b(\w+)[ -]letters? (?:word|name|long|answer|term)"#,
            |c, a| counts(a, &c[1]),
        ),
        (
            r#"(?i-u)\b(?:has|have|with|of|are|word is) (?:exactly )?(\w+) letters\b"#,
            |c, a| counts(a, &c[1]),
        ),
        (
            r#"(?i-u)\bletters? ["'`]?([a-z])["'`]? (?:once|twice|\w+ times)\b"#,
            |c, a| a.letters.contains(&c[1].to_lowercase()),
        ),
        (
            r#"(?i-u)\b(?:rhymes? with|sounds? like|homophone of|pronounced like)\b"#,
            |_, _| true,
        ),
        (
            r#"(?i-u)\b(?:anagram of|rearrang\w+(?: of| the letters)?|unscramble|scrambled:?) (?:the letters )?["'`]?([a-z]+)"#,
            |c, a| sorted(&c[1].to_lowercase()) == sorted(&a.letters),
        ),
    ];
    claims
        .iter()
        .map(|(p, check)| (pattern(p), *check))
        .collect()
});

fn claimed(view: &View, answer: &Answer) -> bool {
    let text = &view.rewrite.clean;
    let asked = view.original.clean.to_lowercase();
    CLAIMS.iter().any(|(pattern, check)| {
        let mut found = pattern.captures_iter(text);
        found.any(|c| {
            check(&c, answer) && !asked.contains(&c[0].to_lowercase()) && !is_order(text, &c)
        })
    })
}

/// "Start your reply with …" and the like tell how to write, not what; so does "in a sentence".
fn is_order(text: &str, found: &Captures) -> bool {
    let whole = &found[0];
    let stand = found.get(0).map_or(0, |m| m.start());
    let opens = text[..stand]
        .trim_end()
        .chars()
        .next_back()
        .is_none_or(|c| matches!(c, '.' | '!' | '?' | ':' | '-'));
    opens && whole.starts_with(|c: char| c.is_uppercase())
}

fn starts(answer: &Answer, letters: &str) -> bool {
    let letters = letters.to_lowercase();
    answer
        .words
        .iter()
        .any(|w| w.starts_with(&letters) && (w.len() > letters.len() || letters.len() == 1))
}

fn counts(answer: &Answer, word: &str) -> bool {
    let text = Text::new(word);
    let said = number::scan(&text.words).first().map(|n| n.value);
    said.is_some_and(|n| {
        n >= 2.0
            && (n == answer.letters.len() as f64
                || answer.words.iter().any(|w| w.len() as f64 == n))
    })
}

fn sorted(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, tests::open};

    fn rule(text: &str) -> Option<Rule> {
        open(
            "Name the capital.",
            &format!("Name the capital. {text}"),
            "Paris",
        )
        .map(|l| l.rule)
    }

    #[test]
    fn ways_of_spelling() {
        for text in [
            "P-a-r-i-s",
            "p a r i s",
            "Pa + ris",
            "P_r_s",
            "It starts with P and ends with s.",
            "It is a five-letter word.",
            "Its first letter is P.",
            "P as in Papa, A as in Alfa, R as in Romeo, I as in India, S as in Sierra",
            "Please answer right, i say.",
            "It is an anagram of pairs.",
        ] {
            assert_eq!(rule(text), Some(Rule::Spelled), "{text}");
        }
    }

    #[test]
    fn orders_about_writing_are_no_claims() {
        for text in [
            "Start your reply with a capital letter.",
            "Begin with the country.",
            "Use at most 12 letters.",
            "Check it letter by letter.",
        ] {
            assert_eq!(rule(text), None, "{text}");
        }
    }
}
