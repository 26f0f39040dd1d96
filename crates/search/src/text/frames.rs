//! Whole instructions around a description, and closing sentences about the form of an answer.
//!
//! Small models follow plain wording. These are set without a proposer: `{task}` stands for the description, `{labels}`
//! for the labels as a list with "or".

/// Instructions for tasks with labels.
pub const WITH_LABELS: [&str; 12] = [
    "{task} Answer with one of: {labels}.",
    "{task}\nPossible answers: {labels}.",
    "{task}\nChoose exactly one: {labels}. Write only that.",
    "Task: {task}\nLabels: {labels}\nReply with the label only.",
    "Read the text. {task} Is it {labels}?",
    "{task} Is the right answer {labels}?",
    "You label texts. {task} Write {labels}, nothing else.",
    "Answer {labels}. {task}",
    "{task} One label fits best: {labels}. Write it.",
    "Here is a text. {task} Pick {labels}.",
    "{task}\nDecide between {labels}. Give no explanation.",
    "Your job: {task} Reply in one line with {labels}.",
];

/// Instructions for tasks without labels.
pub const WITHOUT_LABELS: [&str; 12] = [
    "{task}",
    "{task} Give only the answer.",
    "Task: {task}\nThe input follows.",
    "Do the following with the text below. {task}",
    "{task}\nBe exact and brief.",
    "Read carefully. {task}",
    "{task} Think first, then write the answer on the last line.",
    "You are an expert in this work. {task}",
    "Your job: {task}\nWrite the result and nothing else.",
    "{task} Work step by step and finish with the answer.",
    "Here is an input. {task}",
    "{task} Check your answer once before you write it.",
];

/// Closing sentences for tasks with labels.
pub const CLOSING_WITH_LABELS: [&str; 10] = [
    "Answer with {labels}.",
    "Answer with one label only: {labels}.",
    "Reply with exactly one of these and nothing else: {labels}.",
    "Your whole answer must be {labels}.",
    "Write only the label.",
    "Write the label first; no explanation.",
    "Choose the label that fits best: {labels}.",
    "The answer is always one of {labels}.",
    "If you are not sure, still choose one: {labels}.",
    "End with one line that holds only {labels}.",
];

/// Closing sentences for tasks without labels.
pub const CLOSING_WITHOUT_LABELS: [&str; 10] = [
    "Give only the final answer.",
    "Write the answer and nothing else.",
    "Answer in as few words as possible.",
    "No explanation, just the answer.",
    "Reply with the answer on one line.",
    "Think step by step, then write the final answer on the last line.",
    "Show short working, then the answer at the end.",
    "Write the answer first.",
    "Do not repeat the question; write the answer.",
    "Check the answer, then write it alone on the last line.",
];

/// Closing sentences for questions with choices, beside those without labels.
pub const CLOSING_WITH_CHOICES: [&str; 4] = [
    "Answer with the letter of the right choice only.",
    "Write one letter and nothing else.",
    "Compare all choices, then give the letter of the best one.",
    "Rule out the wrong choices first, then write the letter that is left.",
];

/// A frame with its slots filled, in one pass: what is put in is not searched for slots.
pub fn filled(frame: &str, task: &str, labels: &[String]) -> String {
    let mut out = String::new();
    let mut rest = frame;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{task}") {
            out.push_str(&sentence(task));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{labels}") {
            out.push_str(&listed(labels));
            rest = after;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// A description that ends as a sentence does.
fn sentence(task: &str) -> String {
    let task = task.trim();
    let ends = !task.ends_with(|c: char| c.is_alphanumeric() || c == ')');
    format!("{task}{}", if ends { "" } else { "." })
}

/// `a, b or c`.
fn listed(labels: &[String]) -> String {
    match labels {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_searched_again() {
        let labels = ["a".to_owned(), "b".to_owned(), "{task}".to_owned()];
        assert_eq!(
            filled("{task} {x} Say {labels}.", " Do {labels} it ", &labels),
            "Do {labels} it. {x} Say a, b or {task}."
        );
        assert_eq!(filled("{labels}|", "", &labels[..1]), "a|");
        assert_eq!(filled("{labels}|", "", &[]), "|");
    }

    #[test]
    fn every_frame_states_the_task() {
        let frames = WITH_LABELS.iter().chain(&WITHOUT_LABELS);
        assert!(frames.clone().all(|f| f.matches("{task}").count() == 1));
        assert!(WITH_LABELS.iter().all(|f| f.contains("{labels}")));
        let plain = WITHOUT_LABELS.iter().chain(&CLOSING_WITHOUT_LABELS);
        assert!(
            plain
                .chain(&CLOSING_WITH_CHOICES)
                .all(|f| !f.contains("{labels}"))
        );
    }
}
