//! Which letter a written reply settles on.

use super::{GradeError, regex, right_choice, right_or_wrong, text::named, word};
use domain::{
    grade::{Grade, GradeInput},
    prompt::letter as letter_of,
};
use std::collections::BTreeSet;

/// Grades a reply that should name the letter of a choice (or, failing that, exactly one choice's text).
pub fn letter(input: &GradeInput, reply: &str) -> Result<Grade, GradeError> {
    let right = right_choice(input)?;
    Ok(match settled(reply, &input.choices) {
        Settled::On(index) => {
            let verdict = word(index == right);
            let feedback = format!("the reply settles on {}, which is {verdict}", name(index));
            right_or_wrong(index == right, feedback)
        }
        Settled::Several(some) => {
            let names: Vec<String> = some.into_iter().map(name).collect();
            let names = names.join(" and ");
            right_or_wrong(
                false,
                format!("no single letter was found: the reply names {names}"),
            )
        }
        Settled::Nothing => right_or_wrong(false, "no letter of a choice was found in the reply"),
    })
}

/// A choice as people call it: its letter, or its number past Z.
pub fn name(index: usize) -> String {
    letter_of(index).map_or_else(|| format!("choice {}", index + 1), String::from)
}

#[derive(Debug, PartialEq, Eq)]
enum Settled {
    On(usize),
    Several(BTreeSet<usize>),
    Nothing,
}

/// Finds the choices that a kind of evidence speaks for.
type Source = fn(&str, &[String]) -> BTreeSet<usize>;

/// What the reply settles on. Sources of evidence are asked in order of their strength, and the first that
/// says anything decides: a declaration ("the answer is B"; the last one, since models reconsider), a
/// letter alone, a letter before its own choice's text, marked letters ("(B)"), the text of one choice,
/// plain capital letters.
fn settled(reply: &str, choices: &[String]) -> Settled {
    let reply = thought_over(reply);
    let sources: [Source; 6] = [declared, alone, with_own_text, marked, by_text, plain];
    for source in sources {
        let found = source(reply, choices);
        match (found.len(), found.first()) {
            (0, _) => {}
            (1, Some(index)) => return Settled::On(*index),
            _ => return Settled::Several(found),
        }
    }
    Settled::Nothing
}

/// What follows a reasoning model's thoughts.
pub fn thought_over(reply: &str) -> &str {
    let end = regex!(r"(?i)</\s*think(?:ing)?\s*>")
        .find_iter(reply)
        .last();
    end.map_or(reply, |end| &reply[end.end()..])
}

fn index_of(letter: &str, choices: &[String]) -> Option<usize> {
    let byte = letter.bytes().next()?.to_ascii_uppercase();
    let index = usize::from(byte.checked_sub(b'A')?);
    (index < choices.len().min(26)).then_some(index)
}

/// "The answer is B", "Answer: **b**", "\boxed{B}", "B is correct", "I choose B": the last of these.
fn declared(reply: &str, choices: &[String]) -> BTreeSet<usize> {
    let forms = [
        regex!(
            r"(?i)\b(?:answer|choice|option)\b(?:[ \t]+(?:choice|option|letter))?[*_]*\s*(?:is|would be|should be|must be|:|=|->|→)",
            r"[*_]*\s*(?:therefore |thus |definitely |clearly |option |choice |letter )*[\s:*_\x22'`(\[{]*([a-z])\b"
        ),
        regex!(r"\\boxed\s*\{\s*(?:\\text(?:bf)?\s*\{)?\s*\(?([A-Za-z])\)?\s*\}"),
        regex!(r"\b([A-Z])\b[)\]*.]{0,3}[ \t]+is (?:the )?(?:correct|right|best|answer)\b"),
        regex!(
            r"(?i:\bI(?:['’]d| would|['’]ll| will)?[ \t]+(?:choose|pick|select|go with|say)[ \t]+(?:option |choice |letter )?)[(*\x22']*([A-Z])\b"
        ),
    ];
    let mut last: Option<(usize, BTreeSet<usize>)> = None;
    for found in forms.iter().flat_map(|form| form.captures_iter(reply)) {
        let Some(letter) = found.get(1) else { continue };
        let rest = &reply[letter.end()..];
        let Some(index) = index_of(letter.as_str(), choices) else {
            continue;
        };
        if !is_letter_not_word(letter.as_str(), rest) {
            continue;
        }
        if last.as_ref().is_none_or(|(at, _)| *at < letter.start()) {
            let also = further(rest, choices);
            last = Some((letter.start(), also.into_iter().chain([index]).collect()));
        }
    }
    last.map(|(_, found)| found).unwrap_or_default()
}

/// "the answer is a bit long" declares nothing: a small letter must end its phrase, and a capital A or I must not
/// begin one.
fn is_letter_not_word(letter: &str, rest: &str) -> bool {
    if rest.starts_with(['\'', '’']) {
        return false;
    }
    let goes_on = regex!(r"^[ \t]+([a-z]\w*)").captures(rest);
    let reason = |word: &str| {
        [
            "because", "since", "as", "and", "or", "which", "due", "with", "is", "in",
        ]
        .contains(&word)
    };
    match goes_on {
        Some(next) => "BCDEFGHJKLMNOPQRSTUVWXYZ".contains(letter) || reason(&next[1]),
        None => {
            letter.starts_with(|c: char| c.is_uppercase()) || !regex!(r"^[ \t]+\w").is_match(rest)
        }
    }
}

/// The C of "A or C", "A, C" and "A and C", read from behind the A.
fn further(rest: &str, choices: &[String]) -> Option<usize> {
    let more = regex!(
        r"^[)\]*_\x22']*(?:[ \t]*[,/&][ \t]*|[ \t]+(?:or|and)[ \t]+)(?:(?:or|and)[ \t]+)?[(\[*_\x22']*([A-Z])\b(?:[^\w'’ ]|$| (?:is|are)\b)"
    );
    more.captures(rest).and_then(|c| index_of(&c[1], choices))
}

/// The reply, or its first line, is a letter and nothing else.
fn alone(reply: &str, choices: &[String]) -> BTreeSet<usize> {
    let form = regex!(r"(?i)^[\W_]*(?:(?:option|choice|letter|answer)\b)?[\W_]*([a-z])[\W_]*$");
    let first_line = reply.trim().lines().next().unwrap_or_default();
    let found = form.captures(reply).or_else(|| form.captures(first_line));
    found
        .and_then(|c| index_of(&c[1], choices))
        .into_iter()
        .collect()
}

/// A line of a letter and its own choice's text: "B. Paris" or "b Paris".
fn with_own_text(reply: &str, choices: &[String]) -> BTreeSet<usize> {
    let own = |line: &str| {
        let parts =
            regex!(r"^[\W_]*(?:(?i:option|choice)\s+)?([A-Za-z])\b[\W_]*(.*)$").captures(line)?;
        let index = index_of(&parts[1], choices)?;
        let said = named(&parts[2], &choices[index..=index]);
        (!said.is_empty()).then_some(index)
    };
    reply.lines().filter_map(own).collect()
}

/// Letters that are marked as such: "(B)", "[B]", "**B**", "B)" and, where a line begins, "B." or "B:".
fn marked(reply: &str, choices: &[String]) -> BTreeSet<usize> {
    let form = regex!(
        r"(?:\(|\[|\*\*|\x22)([A-Z])(?:\)|\]|\*\*|\x22|[.:,])|\b([A-Z])\)|(?m:^)[\s>*_-]*([A-Z])[.:]",
        r"|\b(?i:option|choice|letter)[ \t]+[*_\x22]*([A-Z])\b"
    );
    let letters = form
        .captures_iter(reply)
        .filter_map(|c| c.iter().skip(1).flatten().next());
    letters
        .filter(|m| !is_rejected(reply, m.start(), m.end()))
        .filter_map(|m| index_of(m.as_str(), choices))
        .collect()
}

/// "not (B)", "(B) is wrong".
fn is_rejected(reply: &str, start: usize, end: usize) -> bool {
    let before = regex!(
        r"(?i)\b(?:not|isn['’]t|except|than|nor)\s+(?:option |choice |letter )?[(\[*\x22]*$"
    );
    let after = regex!(
        r"(?i)^[)\]*\x22.]*\s+(?:is|are|was|would be|seems?)\s+(?:wrong|incorrect|false|not)\b"
    );
    before.is_match(&reply[..start]) || after.is_match(&reply[end..])
}

/// Choices whose text is in the reply.
fn by_text(reply: &str, choices: &[String]) -> BTreeSet<usize> {
    named(reply, choices)
}

/// Capital letters that are words. A and I, which are words of their own, count beside another letter only
/// ("A or B", "C, A").
fn plain(reply: &str, choices: &[String]) -> BTreeSet<usize> {
    let forms = [
        regex!(r"(?:^|[^\w'’])([B-HJ-Z])(?:$|[^\w'’])"),
        regex!(
            r"\b([AI])(?:[ \t]*[,/&]|[ \t]+(?:or|and)\b)[ \t]*(?:(?:or|and)[ \t]+)?[A-Z](?:$|[^\w'’])"
        ),
        regex!(
            r"\b[A-Z](?:[ \t]*[,/&]|[ \t]+(?:or|and)\b)[ \t]*(?:(?:or|and)[ \t]+)?([AI])(?:$|[^\w'’ ])"
        ),
    ];
    let letters = forms
        .iter()
        .flat_map(|form| form.captures_iter(reply))
        .filter_map(|c| c.get(1));
    letters
        .filter(|m| !is_rejected(reply, m.start(), m.end()))
        .filter_map(|m| index_of(m.as_str(), choices))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::example::Reference;
    use proptest::prelude::*;

    fn choices() -> Vec<String> {
        ["London", "Paris", "New York", "York"]
            .map(String::from)
            .to_vec()
    }

    fn input() -> GradeInput {
        GradeInput {
            input: "Where is the Louvre?".into(),
            choices: choices(),
            reference: Reference::Choice { index: 1 },
        }
    }

    #[test]
    fn the_letter_is_found() {
        let replies = [
            ("B", 1),
            ("b", 1),
            ("(B)", 1),
            ("b)", 1),
            ("B.", 1),
            ("**B**", 1),
            ("The answer is B.", 1),
            ("the correct answer is (b)", 1),
            ("Answer: **B**", 1),
            ("**Answer:** B", 1),
            ("Answer: b", 1),
            ("The answer is: option B, since the Louvre is there.", 1),
            ("The answer is A because of the museum.", 0),
            ("B. Paris", 1),
            ("B) Paris", 1),
            ("b Paris", 1),
            ("B: Paris is where the Louvre stands.", 1),
            ("A. London", 0),
            ("$\\boxed{\\text{B}}$", 1),
            ("I would choose B", 1),
            ("B is correct.", 1),
            ("B\n\nA is wrong because it is in England.", 1),
            ("Option B", 1),
            ("It could be (A) or (C). The answer is C.", 2),
            (
                "The answer is A. Wait, that is England. So the answer is B.",
                1,
            ),
            ("I think it is not (A). It must be (B).", 1),
            ("(A) is wrong, so (D).", 3),
            ("Paris", 1),
            ("It is in paris, France.", 1),
            ("The Louvre is in New York.", 2),
            ("york", 3),
            ("<think>A? The answer is A.</think>B", 1),
            ("A big museum: it must be D", 3),
            ("The answer is a city, namely Paris", 1),
            ("A: London\nB: Paris\n\nAnswer: D", 3),
        ];
        for (reply, index) in replies {
            assert_eq!(settled(reply, &choices()), Settled::On(index), "{reply}");
        }
    }

    #[test]
    fn what_settles_on_nothing_is_worth_nothing() {
        for reply in [
            "",
            "I do not know.",
            "E",
            "The answer is E.",
            "A museum in France",
            "42",
        ] {
            assert_eq!(settled(reply, &choices()), Settled::Nothing, "{reply}");
        }
        let several = [
            "A or B",
            "Maybe C, or A",
            "B and C",
            "Both (A) and (C).",
            "Paris or London",
            "A. London\nB. Paris\nC. New York\nD. York",
            "The answer is A or C.",
            "Answers: A, B",
        ];
        for reply in several {
            assert!(
                matches!(settled(reply, &choices()), Settled::Several(_)),
                "{reply}"
            );
        }
    }

    #[test]
    fn feedback_names_what_was_chosen() {
        let say = |reply| {
            let grade = letter(&input(), reply).unwrap();
            format!("{} {}", grade.value, grade.feedback)
        };
        insta::assert_snapshot!(say("B"), @"1 the reply settles on B, which is right");
        insta::assert_snapshot!(say("(C)"), @"0 the reply settles on C, which is wrong");
        insta::assert_snapshot!(say("(A) or (C)?"), @"0 no single letter was found: the reply names A and C");
        insta::assert_snapshot!(say("no idea"), @"0 no letter of a choice was found in the reply");
    }

    #[test]
    fn a_question_without_choices_cannot_be_graded() {
        let mut bare = input();
        bare.choices.clear();
        assert!(!letter(&bare, "B").unwrap_err().retryable);
    }

    proptest! {
        #[test]
        fn any_reply_is_graded(reply in "\\PC{0,80}") {
            let grade = letter(&input(), &reply).unwrap();
            prop_assert!(grade.value == 0.0 || grade.value == 1.0);
        }

        #[test]
        fn a_declared_letter_wins_over_any_talk(index in 0..4usize, talk in "[a-z ,]{0,40}") {
            let reply = format!("Well {talk}. The answer is {}.", name(index));
            prop_assert_eq!(settled(&reply, &choices()), Settled::On(index));
        }
    }
}
