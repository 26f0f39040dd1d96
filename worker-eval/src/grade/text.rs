//! Graders that compare a written reply with the reference.

use super::{GradeError, lacking, reference_text, right_or_wrong, word};
use domain::{
    grade::{Grade, GradeInput},
    proposal::fold,
};
use regex::Regex;
use std::collections::BTreeSet;

const SLOT: &str = "{reference}";

/// A grader of this file, ready to grade.
#[derive(Debug)]
pub enum TextGrader {
    /// See [`domain::grade::Grader::Exact`].
    Exact,
    /// See [`domain::grade::Grader::Normalised`].
    Normalised,
    /// See [`domain::grade::Grader::Contains`].
    Contains,
    /// See [`domain::grade::Grader::Label`].
    Label(Vec<String>),
    /// A pattern without the reference in it, compiled.
    Pattern(Regex),
    /// A pattern to be filled with each reference.
    Template(String),
}

impl TextGrader {
    /// Labels that can be told apart.
    pub fn label(labels: &[String]) -> Result<Self, GradeError> {
        let distinct: BTreeSet<String> = labels.iter().map(|l| fold(l)).collect();
        if distinct.len() < labels.len() || labels.len() < 2 || distinct.contains("") {
            return Err(GradeError::lasting(format!(
                "labels {labels:?} cannot be told apart: give two or more that differ in more \
                 than case and punctuation"
            )));
        }
        Ok(Self::Label(labels.to_vec()))
    }

    /// A pattern that compiles, whatever the reference.
    pub fn regex(pattern: &str) -> Result<Self, GradeError> {
        let compiled = compiled(&pattern.replace(SLOT, "x"))?;
        Ok(match pattern.contains(SLOT) {
            true => Self::Template(pattern.to_owned()),
            false => Self::Pattern(compiled),
        })
    }

    /// Grades one reply.
    pub fn grade(&self, input: &GradeInput, reply: &str) -> Result<Grade, GradeError> {
        let reply = reply.trim();
        match self {
            Self::Exact => {
                let wanted = reference_text(input)?;
                Ok(compared(reply == wanted, reply, wanted))
            }
            Self::Normalised => {
                let wanted = reference_text(input)?;
                Ok(compared(
                    normalised(reply) == normalised(wanted),
                    reply,
                    wanted,
                ))
            }
            Self::Contains => {
                let wanted = reference_text(input)?.to_lowercase();
                let right = reply.to_lowercase().contains(&wanted);
                Ok(right_or_wrong(
                    right,
                    format!(
                        "the reply {} what it must contain",
                        does(right, "contains", "lacks")
                    ),
                ))
            }
            Self::Label(labels) => label(labels, input, reply),
            Self::Pattern(pattern) => Ok(matched(pattern, reply)),
            Self::Template(template) => {
                let wanted = regex::escape(reference_text(input)?);
                Ok(matched(&compiled(&template.replace(SLOT, &wanted))?, reply))
            }
        }
    }
}

fn does(yes: bool, this: &'static str, that: &'static str) -> &'static str {
    if yes { this } else { that }
}

fn compiled(pattern: &str) -> Result<Regex, GradeError> {
    Regex::new(pattern).map_err(|e| {
        GradeError::lasting(format!(
            "grader pattern {pattern:?} is no regular expression: {e}"
        ))
    })
}

fn matched(pattern: &Regex, reply: &str) -> Grade {
    let right = pattern.is_match(reply);
    right_or_wrong(
        right,
        format!(
            "the reply {} the pattern",
            does(right, "matches", "does not match")
        ),
    )
}

/// How near a wrong reply came is part of the outcome; the reference is not said.
fn compared(right: bool, reply: &str, wanted: &str) -> Grade {
    let (said, want) = (normalised(reply), normalised(wanted));
    let feedback = if right {
        "the reply is right"
    } else if said == want {
        "the reply is right but for case, punctuation, articles or spacing"
    } else if format!(" {said} ").contains(&format!(" {want} ")) {
        "the reply contains what was wanted, but says more than that"
    } else {
        "the reply is not what was wanted"
    };
    right_or_wrong(right, feedback)
}

/// Lower case without punctuation and articles, single spaces (the normalisation of the SQuAD evaluation,
/// Rajpurkar et al. 2016), except that a minus before a number stays. A text that has nothing else
/// stays as it is.
fn normalised(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut bare = String::with_capacity(lower.len());
    let mut chars = lower.chars().peekable();
    while let Some(c) = chars.next() {
        let minus = matches!(c, '-' | '−') && chars.peek().is_some_and(char::is_ascii_digit);
        if minus && !bare.ends_with(|before: char| !before.is_whitespace()) {
            bare.push('-');
        } else if !(c.is_ascii_punctuation() || "‘’“”«»–—…−¡¿".contains(c)) {
            bare.push(c);
        }
    }
    let words = bare.split_whitespace();
    let words: Vec<&str> = words.filter(|w| !["a", "an", "the"].contains(w)).collect();
    match words.is_empty() {
        true => lower.trim().to_owned(),
        false => words.join(" "),
    }
}

fn label(labels: &[String], input: &GradeInput, reply: &str) -> Result<Grade, GradeError> {
    let wanted = fold(reference_text(input)?);
    let Some(right) = labels.iter().position(|l| fold(l) == wanted) else {
        return Err(lacking(
            input,
            "a reference that is one of the grader's labels",
        ));
    };
    let found = named(reply, labels);
    let names: Vec<&str> = found.iter().map(|i| labels[*i].as_str()).collect();
    Ok(match (found.len(), found.first()) {
        (1, Some(one)) => {
            let verdict = word(*one == right);
            right_or_wrong(
                *one == right,
                format!("the reply names {:?}, which is {verdict}", names[0]),
            )
        }
        (0, _) => right_or_wrong(false, "the reply names none of the labels"),
        _ => right_or_wrong(
            false,
            format!("the reply names several labels: {}", names.join(", ")),
        ),
    })
}

/// Which of some names are in a text, as whole words, case and punctuation aside. Longer names go first and
/// use their words up: "not spam" does not name "spam".
pub fn named(text: &str, names: &[String]) -> BTreeSet<usize> {
    let folded: Vec<String> = names.iter().map(|n| fold(n)).collect();
    let mut order: Vec<usize> = (0..names.len())
        .filter(|i| !folded[*i].is_empty())
        .collect();
    order.sort_by_key(|i| std::cmp::Reverse(folded[*i].len()));
    let mut rest = format!(" {} ", fold(text));
    let mut found = BTreeSet::new();
    for index in order {
        let name = format!(" {} ", folded[index]);
        if rest.contains(&name) {
            found.insert(index);
            // A line break is in no name, so what stood on either side cannot join.
            rest = rest.replace(&name, " \n ");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::example::Reference;
    use proptest::prelude::*;

    fn input(reference: &str) -> GradeInput {
        GradeInput {
            input: "Say it.".into(),
            choices: vec![],
            reference: Reference::Text {
                text: reference.into(),
            },
        }
    }

    fn say(grader: &TextGrader, reference: &str, reply: &str) -> String {
        let grade = grader.grade(&input(reference), reply).unwrap();
        format!("{} {}", grade.value, grade.feedback)
    }

    fn labels() -> TextGrader {
        TextGrader::label(&["spam".into(), "not spam".into(), "C++".into(), "C".into()]).unwrap()
    }

    #[test]
    fn exact_is_to_the_letter() {
        let exact = TextGrader::Exact;
        insta::assert_snapshot!(say(&exact, "The Nile", " The Nile\n"), @"1 the reply is right");
        insta::assert_snapshot!(say(&exact, "The Nile", "the nile."), @"0 the reply is right but for case, punctuation, articles or spacing");
        insta::assert_snapshot!(say(&exact, "The Nile", "It is the Nile, of course"), @"0 the reply contains what was wanted, but says more than that");
        insta::assert_snapshot!(say(&exact, "The Nile", "The Amazon"), @"0 the reply is not what was wanted");
    }

    #[test]
    fn normalised_forgives_looks() {
        let right = [
            ("The Nile", "nile."),
            ("Don’t", "dont"),
            ("a  b", "B"),
            ("U.S.", "us"),
            ("-5", "−5"),
            ("?", "?"),
        ];
        for (reference, reply) in right {
            assert_eq!(
                say(&TextGrader::Normalised, reference, reply),
                "1 the reply is right",
                "{reply}"
            );
        }
        for (reference, reply) in [
            ("-5", "5"),
            ("Nile", "Nile river"),
            ("?", "!"),
            ("the", "a"),
        ] {
            assert!(
                say(&TextGrader::Normalised, reference, reply).starts_with('0'),
                "{reply}"
            );
        }
    }

    #[test]
    fn a_label_must_be_the_only_one_named() {
        insta::assert_snapshot!(say(&labels(), "spam", "This is SPAM!"), @r#"1 the reply names "spam", which is right"#);
        insta::assert_snapshot!(say(&labels(), "spam", "It is not spam."), @r#"0 the reply names "not spam", which is wrong"#);
        insta::assert_snapshot!(say(&labels(), "Not_Spam", "not spam"), @r#"1 the reply names "not spam", which is right"#);
        insta::assert_snapshot!(say(&labels(), "spam", "spam or not spam?"), @"0 the reply names several labels: spam, not spam");
        insta::assert_snapshot!(say(&labels(), "spam", "spammy"), @"0 the reply names none of the labels");
        insta::assert_snapshot!(say(&labels(), "C", "C++"), @r#"0 the reply names "C++", which is wrong"#);
        assert!(labels().grade(&input("ham"), "spam").is_err());
    }

    #[test]
    fn labels_must_differ() {
        for bad in [vec![], vec!["one"], vec!["A", "a"], vec!["x", "!"]] {
            let bad: Vec<String> = bad.into_iter().map(String::from).collect();
            assert!(TextGrader::label(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn contains_and_patterns() {
        insta::assert_snapshot!(say(&TextGrader::Contains, "Nile", "the NILE flows"), @"1 the reply contains what it must contain");
        insta::assert_snapshot!(say(&TextGrader::Contains, "Nile", "the Amazon"), @"0 the reply lacks what it must contain");
        let ends = TextGrader::regex(r"(?i)is {reference}\.?$").unwrap();
        insta::assert_snapshot!(say(&ends, "1+1 (two)", "It is 1+1 (TWO)."), @"1 the reply matches the pattern");
        insta::assert_snapshot!(say(&ends, "1+1", "It is 1111."), @"0 the reply does not match the pattern");
        let fixed = TextGrader::regex(r"^\d+$").unwrap();
        let none = GradeInput {
            reference: Reference::None,
            ..input("")
        };
        assert_eq!(fixed.grade(&none, "42").unwrap().value, 1.0);
        assert!(ends.grade(&none, "42").is_err());
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = TextGrader::regex("(unclosed").unwrap_err();
        assert!(
            !error.retryable && error.message.contains("(unclosed"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,60}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }

        #[test]
        fn a_reply_that_is_the_reference_is_right(text in "\\PC{1,40}") {
            prop_assume!(!text.trim().is_empty());
            for grader in [TextGrader::Exact, TextGrader::Normalised, TextGrader::Contains] {
                prop_assert_eq!(grader.grade(&input(&text), &text).unwrap().value, 1.0);
            }
        }
    }
}
