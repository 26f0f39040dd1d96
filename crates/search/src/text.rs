//! Texts of ours that operators show or set. Written for this program; none is copied from a paper.
//!
//! | module | what |
//! | --- | --- |
//! | [`styles`] | ways to look at a task (Promptbreeder's thinking styles) |
//! | [`mutations`] | ways to change an instruction (Promptbreeder's mutation prompts) |
//! | [`frames`] | whole instructions around a description, and closing sentences about the form of an answer |
//! | [`turns`] | worked turns from other tasks, which show a small proposer the form of a reply |
//! | [`questions`] | the same where the words of a question are changed |
//!
//! Changing a text that a proposer is shown changes [`crate::operator::Operator::version`].

pub mod frames;
pub mod mutations;
pub mod questions;
pub mod styles;
pub mod turns;

#[cfg(test)]
mod tests {
    use super::*;
    use domain::proposal::fold;
    use std::collections::BTreeSet;

    #[test]
    fn no_text_is_there_twice() {
        let all = styles::ALL.iter().chain(&mutations::ALL);
        let all = all.chain(&styles::OF_QUESTIONS);
        let all = all.chain(&mutations::OF_QUESTIONS);
        let folded: BTreeSet<String> = all.clone().map(|t| fold(t)).collect();
        assert_eq!(folded.len(), all.count());
        assert!(styles::ALL.len() >= 40 && mutations::ALL.len() >= 40);
    }

    #[test]
    fn texts_are_short_sentences() {
        let of_questions = styles::OF_QUESTIONS.iter().chain(&mutations::OF_QUESTIONS);
        for text in styles::ALL
            .iter()
            .chain(&mutations::ALL)
            .chain(of_questions)
        {
            let words = text.split_whitespace().count();
            assert!((4..=24).contains(&words), "{words} words: {text}");
            assert!(text.ends_with(['.', '?']), "{text}");
        }
    }
}
