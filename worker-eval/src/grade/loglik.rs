//! Graders that read log-likelihoods.
//!
//! Scores are compared per byte of the continuation as it was asked: per token would favour texts that a
//! tokeniser happens to know, and whole sums favour short ones.

use super::{GradeError, choice::name, reference_text, right_choice, word};
use domain::{
    call::{Call, Reply, Score},
    grade::{Grade, GradeInput},
};

/// The choice that is the most probable per byte. Value 1 only if it is the right one and strictly ahead; the
/// margin is the right one's score minus the best wrong one's, in nats per byte.
pub fn choice(input: &GradeInput, call: &Call, reply: &Reply) -> Result<Grade, GradeError> {
    let right = right_choice(input)?;
    let scores = per_byte(call, reply)?;
    if scores.len() != input.choices.len() {
        return Err(GradeError::lasting(format!(
            "choice_loglik got {} scores for {} choices: ask for one continuation a choice",
            scores.len(),
            input.choices.len()
        )));
    }
    let wrong = scores.iter().enumerate().filter(|(i, _)| *i != right);
    let best_wrong = wrong.map(|(_, s)| *s).fold(f64::NEG_INFINITY, f64::max);
    let margin = scores[right] - best_wrong;
    Ok(Grade {
        value: if margin > 0.0 { 1.0 } else { 0.0 },
        raw: None,
        margin: Some(margin),
        feedback: preference(&scores, right),
    })
}

/// Names what the model preferred and by how much it led; a lead says nothing of which choice is right.
fn preference(scores: &[f64], right: usize) -> String {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (first, second) = (order[0], order[1]);
    let lead = scores[first] - scores[second];
    if lead > 0.0 {
        let (name, verdict) = (name(first), word(first == right));
        format!("the model preferred {name}, which is {verdict}, by {lead:.3} nats per byte")
    } else {
        "the model preferred no choice to all others".to_owned()
    }
}

/// The log-likelihood of the reference per byte, a proxy for quality. The first continuation is the
/// reference, the others are references of other examples.
///
/// Raw is in nats per byte; the value is `exp(raw)`, the geometric mean probability of a byte, which
/// is monotone in raw and lies in `[0, 1]`; the margin is raw minus the mean of the mismatched
/// references, which takes away what any text would have gained.
pub fn reference(input: &GradeInput, call: &Call, reply: &Reply) -> Result<Grade, GradeError> {
    let scores = per_byte(call, reply)?;
    let wanted = reference_text(input)?;
    let asked = continuations(call)?.first().map_or("", |c| c.trim());
    if asked.is_empty() || !wanted.starts_with(asked) {
        return Err(GradeError::lasting(
            "reference_loglik was asked for another text than the example's reference: \
             the reference must be the first continuation",
        ));
    }
    let (raw, others) = (scores[0], &scores[1..]);
    let mean = others.iter().sum::<f64>() / others.len() as f64;
    let margin = (!others.is_empty()).then_some(raw - mean);
    let beside = margin.map_or(String::new(), |m| {
        format!(", {m:+.3} beside the references of other examples")
    });
    Ok(Grade {
        value: raw.exp().clamp(0.0, 1.0),
        raw: Some(raw),
        margin,
        feedback: format!(
            "the hidden reference has a log-likelihood of {raw:.3} nats per byte{beside}"
        ),
    })
}

fn continuations(call: &Call) -> Result<&[String], GradeError> {
    match call {
        Call::Loglik { continuations, .. } => Ok(continuations),
        Call::Generate { .. } => Err(GradeError::lasting(
            "this grader reads log-likelihoods, but a written reply was asked for",
        )),
    }
}

fn per_byte(call: &Call, reply: &Reply) -> Result<Vec<f64>, GradeError> {
    let continuations = continuations(call)?;
    let Reply::Scores { scores } = reply else {
        return Err(GradeError::lasting(
            "this grader reads log-likelihoods, but a written reply came: \
             use a model that scores, or a grader that reads text",
        ));
    };
    if scores.len() != continuations.len() || scores.is_empty() {
        return Err(GradeError::lasting(format!(
            "{} scores came for {} continuations",
            scores.len(),
            continuations.len()
        )));
    }
    let pairs = continuations.iter().zip(scores);
    pairs
        .map(|(text, score)| one_per_byte(text, score))
        .collect()
}

fn one_per_byte(text: &str, score: &Score) -> Result<f64, GradeError> {
    let per_byte = score.logprob / text.len() as f64;
    if !per_byte.is_finite() {
        return Err(GradeError::lasting(format!(
            "a continuation of {} bytes has log-likelihood {}: neither may be empty or infinite",
            text.len(),
            score.logprob
        )));
    }
    Ok(per_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::example::Reference;

    fn call(texts: &[&str]) -> Call {
        Call::Loglik {
            messages: vec![],
            prefix: String::new(),
            continuations: texts.iter().map(|t| (*t).to_owned()).collect(),
        }
    }

    fn scores(logprobs: &[f64]) -> Reply {
        let scores = logprobs.iter().map(|l| Score {
            logprob: *l,
            tokens: 1,
        });
        Reply::Scores {
            scores: scores.collect(),
        }
    }

    fn input(reference: Reference) -> GradeInput {
        GradeInput {
            input: "Which?".into(),
            choices: vec!["ab".into(), "abcd".into(), "abcdefgh".into()],
            reference,
        }
    }

    fn graded(right: usize, logprobs: &[f64]) -> Grade {
        let call = call(&["ab", "abcd", "abcdefgh"]);
        choice(
            &input(Reference::Choice { index: right }),
            &call,
            &scores(logprobs),
        )
        .unwrap()
    }

    #[test]
    fn choices_compete_per_byte() {
        // Sums say the first (-2), bytes say the last (-0.5 each).
        let grade = graded(2, &[-2.0, -4.0, -4.0]);
        assert_eq!(
            (grade.value, grade.margin, grade.raw),
            (1.0, Some(0.5), None)
        );
        insta::assert_snapshot!(grade.feedback, @"the model preferred C, which is right, by 0.500 nats per byte");
        let grade = graded(0, &[-2.0, -4.0, -4.0]);
        assert_eq!((grade.value, grade.margin), (0.0, Some(-0.5)));
        insta::assert_snapshot!(grade.feedback, @"the model preferred C, which is wrong, by 0.500 nats per byte");
    }

    #[test]
    fn a_tie_is_no_preference() {
        let grade = graded(1, &[-2.0, -4.0, -40.0]);
        assert_eq!((grade.value, grade.margin), (0.0, Some(0.0)));
        insta::assert_snapshot!(grade.feedback, @"the model preferred no choice to all others");
    }

    #[test]
    fn wrong_feedback_is_the_same_whichever_choice_is_right() {
        let (a, b) = (
            graded(0, &[-2.0, -6.0, -4.0]),
            graded(1, &[-2.0, -6.0, -4.0]),
        );
        assert_eq!(a.feedback, b.feedback);
        assert_ne!(a.margin, b.margin);
    }

    #[test]
    fn a_reference_is_compared_with_mismatched_ones() {
        let input = input(Reference::Text {
            text: "abcd".into(),
        });
        let asked = call(&[" abcd", "xy", "zzzz"]);
        let grade = reference(&input, &asked, &scores(&[-5.0, -4.0, -4.0])).unwrap();
        assert_eq!((grade.raw, grade.margin), (Some(-1.0), Some(0.5)));
        assert!((grade.value - (-1.0f64).exp()).abs() < 1e-12);
        insta::assert_snapshot!(grade.feedback, @"the hidden reference has a log-likelihood of -1.000 nats per byte, +0.500 beside the references of other examples");
        let alone = reference(&input, &call(&["abcd"]), &scores(&[-2.0])).unwrap();
        assert_eq!((alone.raw, alone.margin), (Some(-0.5), None));
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_no_grade() {
        let pick = input(Reference::Choice { index: 0 });
        let three = call(&["ab", "abcd", "abcdefgh"]);
        let text = Reply::Text { text: "A".into() };
        let generate = Call::Generate {
            messages: vec![],
            sampling: Default::default(),
        };
        let two = call(&["ab", "abcd"]);
        let hollow = call(&["ab", "", "abcdefgh"]);
        let cases = [
            (&three, text.clone()),
            (&generate, scores(&[-1.0, -1.0, -1.0])),
            (&two, scores(&[-1.0, -1.0])),
            (&three, scores(&[-1.0])),
            (&hollow, scores(&[-1.0, 0.0, -1.0])),
            (&three, scores(&[-1.0, f64::NAN, -1.0])),
            (&three, scores(&[-1.0, f64::NEG_INFINITY, -1.0])),
        ];
        for (call, reply) in cases {
            assert!(
                !choice(&pick, call, &reply).unwrap_err().retryable,
                "{reply:?}"
            );
        }
        let text = input(Reference::Text {
            text: "other".into(),
        });
        assert!(reference(&text, &three, &scores(&[-1.0; 3])).is_err());
        assert!(reference(&input(Reference::None), &three, &scores(&[-1.0; 3])).is_err());
    }
}
