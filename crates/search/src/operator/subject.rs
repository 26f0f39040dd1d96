//! How an instruction, and how a question is spoken of.
//!
//! Texts are written for instructions. Said of a question, they name it by its kind; where that is not enough, an operator
//! has a text for either.

use super::Operator;
use crate::pool::Subject;

impl Subject {
    /// The question's own words; `None` where an instruction is searched.
    pub fn original(&self) -> Option<&str> {
        match self {
            Subject::Instruction => None,
            Subject::Question { original, .. } => Some(original),
        }
    }

    /// Whether an operator makes such things.
    pub(crate) fn suits(&self, operator: Operator) -> bool {
        match self {
            Subject::Instruction => operator.instructs(),
            Subject::Question { .. } => operator.rewrites(),
        }
    }

    /// A text about instructions, said of what is searched.
    pub(crate) fn said(&self, text: &str) -> String {
        let Subject::Question { kind, .. } = self else {
            return text.to_owned();
        };
        let noun = kind.noun();
        let article = match noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
            true => "an",
            false => "a",
        };
        // A new question would be another one.
        text.replace("the new instruction", "the rewritten instruction")
            .replace("an instruction", &format!("{article} instruction"))
            .replace("instruction", noun)
    }

    /// One of two texts: of instructions, or of questions.
    pub(crate) fn either(&self, instruction: &str, question: &str) -> String {
        match self {
            Subject::Instruction => instruction.to_owned(),
            Subject::Question { .. } => self.said(question),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::operator::TaskKind;

    #[test]
    fn a_kind_gives_the_noun() {
        let of = |kind| Subject::Question {
            original: String::new(),
            kind,
            keyed: true,
        };
        let text = "Change an instruction: two instructions, the new instruction.";
        let said = |kind| of(kind).said(text);
        assert_eq!(Subject::Instruction.said(text), text);
        assert_eq!(
            said(TaskKind::Choice),
            "Change a question: two questions, the rewritten question."
        );
        assert_eq!(
            said(TaskKind::Code),
            "Change a programming task: two programming tasks, the rewritten programming task."
        );
        assert_eq!(
            said(TaskKind::Open),
            "Change an instruction: two instructions, the rewritten instruction."
        );
    }
}
