//! GSM8K: a word problem, and a worked answer that ends `#### number`.

use super::fields::Object;
use crate::error::Problem;
use domain::example::{Example, Reference};

const MARK: &str = "####";

pub(crate) fn parse(object: &Object) -> Result<Example, Problem> {
    let input = object.text("question")?.trim().to_owned();
    let reference = Reference::Text {
        text: number(object.text("answer")?)?,
    };
    Ok(Example {
        input,
        context: None,
        choices: Vec::new(),
        reference,
        group: None,
    })
}

/// The number after the last `####`, without thousands separators and currency sign.
fn number(answer: &str) -> Result<String, Problem> {
    let (_, last) = answer.rsplit_once(MARK).ok_or_else(|| {
        Problem::value(
            "answer",
            answer,
            "expected it to end in `#### ` and a number",
        )
    })?;
    let digits = last.trim().trim_start_matches('$').replace(',', "");
    let plain = digits
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'));
    if plain && digits.parse::<f64>().is_ok() {
        return Ok(digits);
    }
    Err(Problem::value(
        "answer",
        last.trim(),
        "expected a number after `####`, such as 1,234",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_commas() {
        assert_eq!(number("so\n#### 1,234,567").unwrap(), "1234567");
        assert_eq!(number("#### 1\n#### $-0.5 ").unwrap(), "-0.5");
        for bad in ["#### many", "####", "12", "#### inf", "#### 1 2"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
