//! Numbers in prose.

use super::{GradeError, lacking, reference_text, regex, right_or_wrong, word};
use domain::grade::{Grade, GradeInput};

/// Compares the reply's number with the reference's.
///
/// The reply's number is the first one after the last `####`, else the last one in the last `\boxed{…}`, else
/// the last one of all. Read are thousands (`1,234`), signs, decimals, exponents, currency signs, fractions
/// (`3/4`, `1 1/2`, `\frac{3}{4}`) and per cent: where only one of the two numbers has a per cent sign, both
/// `5%` = 5 and `5%` = 0.05 count. `tolerance` is the largest absolute difference that counts as
/// equal; one billionth of the reference is always forgiven, since that is rounding.
pub fn grade(input: &GradeInput, tolerance: f64, reply: &str) -> Result<Grade, GradeError> {
    let wanted = read(reference_text(input)?);
    let Some(wanted) = wanted else {
        return Err(lacking(input, "a number as its reference"));
    };
    Ok(match read(reply) {
        Some(said) => {
            let right = said.equals(&wanted, tolerance);
            let written = said.written;
            right_or_wrong(
                right,
                format!("the reply gives {written}, which is {}", word(right)),
            )
        }
        None => right_or_wrong(false, "no number was found in the reply"),
    })
}

#[derive(Clone, Debug, PartialEq)]
struct Number {
    value: f64,
    percent: bool,
    written: String,
}

impl Number {
    fn equals(&self, wanted: &Number, tolerance: f64) -> bool {
        let near = |said: f64, wanted: f64| {
            (said - wanted).abs() <= tolerance.max(0.0) + 1e-9 * wanted.abs().max(1.0)
        };
        near(self.value, wanted.value)
            || (self.percent && !wanted.percent && near(self.value / 100.0, wanted.value))
            || (wanted.percent && !self.percent && near(self.value, wanted.value / 100.0))
    }
}

/// The number that a text settles on.
fn read(text: &str) -> Option<Number> {
    let text = plain(text);
    let marked = text
        .rsplit_once("####")
        .and_then(|(_, after)| numbers(after).into_iter().next());
    let boxed = || {
        let inside = regex!(r"\\boxed\s*\{([^{}]*)\}")
            .captures_iter(&text)
            .last()?;
        numbers(&inside[1]).pop()
    };
    marked.or_else(boxed).or_else(|| numbers(&text).pop())
}

/// Without LaTeX's ways of writing a number.
fn plain(text: &str) -> String {
    let text = text
        .replace("\\$", "$")
        .replace("\\%", "%")
        .replace("{,}", ",");
    let text = text.replace(['−', '‒', '–'], "-");
    regex!(r"\\[dt]?frac\{\s*(-?[\d.]+)\s*\}\{\s*([\d.]+)\s*\}")
        .replace_all(&text, "$1/$2")
        .into_owned()
}

/// All numbers of a text, in order.
fn numbers(text: &str) -> Vec<Number> {
    let form = regex!(
        r"([-+]?[$€£¥]?[-+]?)(?:(\d+)[ \t]+(\d+/\d+)|((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)",
        r"(?:[ \t]?/[ \t]?(\d+(?:\.\d+)?))?)(?:\s?(%|(?i:per ?cent)\b))?"
    );
    form.captures_iter(text)
        .filter_map(|c| number(text, &c))
        .collect()
}

fn number(text: &str, parts: &regex::Captures<'_>) -> Option<Number> {
    let whole = parts.get(0)?;
    let sign = parts.get(1).map_or("", |m| m.as_str());
    let before = text[..whole.start()].chars().next_back();
    if sign.is_empty() && before.is_some_and(|c| c.is_alphabetic() || c == '_') {
        return None; // H2O, x1
    }
    // In "5-3" and "(1)-2" the sign stands between two numbers.
    let between = before.is_some_and(|c| c.is_alphanumeric() || c == ')');
    let negative = sign.contains('-') && !between;
    let part = |i: usize| parts.get(i).map(|m| m.as_str());
    let size = match (part(2), part(3), part(4)) {
        (Some(units), Some(fraction), _) => units.parse::<f64>().ok()? + ratio(fraction)?,
        (_, _, Some(digits)) => {
            let over = part(5).map_or(Some(1.0), |d| d.parse::<f64>().ok())?;
            digits.replace(',', "").parse::<f64>().ok()? / over
        }
        _ => return None,
    };
    let value = if negative { -size } else { size };
    let written = if between {
        whole.as_str().trim_start_matches(['-', '+'])
    } else {
        whole.as_str()
    };
    value.is_finite().then(|| Number {
        value,
        percent: parts.get(6).is_some(),
        written: written.trim().chars().take(40).collect(),
    })
}

fn ratio(fraction: &str) -> Option<f64> {
    let (over, under) = fraction.split_once('/')?;
    Some(over.parse::<f64>().ok()? / under.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::example::Reference;
    use proptest::prelude::*;

    fn graded(reference: &str, tolerance: f64, reply: &str) -> Grade {
        let input = GradeInput {
            input: "How many?".into(),
            choices: vec![],
            reference: Reference::Text {
                text: reference.into(),
            },
        };
        grade(&input, tolerance, reply).unwrap()
    }

    #[test]
    fn the_number_is_found() {
        let texts = [
            ("7", 7.0),
            ("It costs $1,234.50.", 1234.5),
            ("So 3.0", 3.0),
            ("x = -2", -2.0),
            ("x = −2.", -2.0),
            ("-$5", -5.0),
            ("$-5", -5.0),
            ("5-3 = 2", 2.0),
            ("I compute 10-3", 3.0),
            ("3/4", 0.75),
            ("1 1/2 cups", 1.5),
            ("\\frac{3}{4}", 0.75),
            (".5", 0.5),
            ("1.5e3", 1500.0),
            ("about 25%", 25.0),
            ("12 + 30 = 42 apples", 42.0),
            ("Step 1: 3 + 4.\n#### 7 (in 2 steps)", 7.0),
            ("Thus \\boxed{1{,}234} after 3 steps", 1234.0),
            ("CO2 is at 420 ppm of CO2", 420.0),
            ("1, 2, 3", 3.0),
            ("1,234,567", 1_234_567.0),
            ("5kg", 5.0),
        ];
        for (text, value) in texts {
            assert_eq!(read(text).map(|n| n.value), Some(value), "{text}");
        }
        for text in ["", "none", "H2O", "5/0", "1e999"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn equal_means_equal_within_tolerance() {
        let right = [
            ("3", 0.0, "3.0"),
            ("1,234", 0.0, "$1234"),
            ("0.3", 0.0, "0.30000000000000004"),
            ("10", 0.5, "10.4"),
            ("5", 0.0, "5%"),
            ("0.05", 0.0, "5%"),
            ("5%", 0.0, "0.05"),
            ("5%", 0.0, "5"),
            ("0.75", 0.0, "3/4"),
            ("because 3 + 4 = 7\n#### 7", 0.0, "seven is 7"),
        ];
        for (reference, tolerance, reply) in right {
            assert_eq!(graded(reference, tolerance, reply).value, 1.0, "{reply}");
        }
        let wrong = [
            ("3", 0.0, "3.1"),
            ("10", 0.5, "10.6"),
            ("2", 0.0, "-2"),
            ("5%", 0.0, "500%"),
        ];
        for (reference, tolerance, reply) in wrong {
            assert_eq!(graded(reference, tolerance, reply).value, 0.0, "{reply}");
        }
    }

    #[test]
    fn feedback_names_the_replys_number_only() {
        insta::assert_snapshot!(graded("42", 0.0, "It is $1,041.").feedback, @"the reply gives $1,041, which is wrong");
        insta::assert_snapshot!(graded("42", 0.0, "50-8 = 42").feedback, @"the reply gives 42, which is right");
        insta::assert_snapshot!(graded("42", 0.0, "many").feedback, @"no number was found in the reply");
    }

    #[test]
    fn a_reference_without_a_number_is_an_error() {
        let input = GradeInput {
            input: "How many?".into(),
            choices: vec![],
            reference: Reference::Text {
                text: "many".into(),
            },
        };
        assert!(!grade(&input, 0.0, "5").unwrap_err().retryable);
    }

    proptest! {
        #[test]
        fn any_number_written_is_read_back(value in -1e9..1e9f64) {
            let text = format!("I think it is {value} or so.");
            prop_assert_eq!(read(&text).unwrap().value, value);
        }

        #[test]
        fn any_text_is_read(text in "\\PC{0,80}") {
            if let Some(number) = read(&text) {
                prop_assert!(number.value.is_finite());
            }
        }
    }
}
