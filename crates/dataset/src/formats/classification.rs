//! Classification: a text, a tab, a label.

use crate::error::{Problem, list};
use domain::example::{Example, Reference};

pub(crate) fn parse(line: &str, labels: &[String]) -> Result<Example, Problem> {
    // A label holds no tab, a text may.
    let (text, label) = line
        .rsplit_once('\t')
        .ok_or_else(|| Problem::found(line, "expected a text, a tab and a label on each line"))?;
    let (text, label) = (text.trim(), label.trim());
    if text.is_empty() {
        return Err(Problem::field(
            "text",
            "is empty: expected some text before the tab",
        ));
    }
    if label.is_empty() {
        return Err(Problem::field(
            "label",
            "is empty: expected a label after the tab",
        ));
    }
    Ok(Example {
        input: text.to_owned(),
        context: None,
        choices: Vec::new(),
        reference: Reference::Text {
            text: name(label, labels)?,
        },
        group: None,
    })
}

/// The label's name: itself, or the one at its position.
fn name(label: &str, labels: &[String]) -> Result<String, Problem> {
    if labels.is_empty() || labels.iter().any(|l| l == label) {
        return Ok(label.to_owned());
    }
    let named = label
        .parse::<usize>()
        .ok()
        .and_then(|index| labels.get(index));
    named.cloned().ok_or_else(|| {
        let wanted = format!(
            "expected {} or a position from 0 to {}",
            list(labels, 8),
            labels.len() - 1
        );
        Problem::value("label", label, wanted)
    })
}
