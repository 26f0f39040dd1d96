//! Reading what a proposer wrote.

use super::{Draft, Operator, Write, tags};
use crate::{
    guard,
    pool::{Pool, Subject},
    refused::Refused,
};
use domain::{
    prompt::PromptDoc,
    proposal::{self, Limits, Refusal, fold},
};
use regex::Regex;
use std::sync::LazyLock;

/// Shorter instructions are refused.
const MIN_CHARS: usize = 4;
/// A longer mutation prompt is none.
const MUTATION_CHARS: usize = 300;

/// The candidate that a reply holds: the first parent's prompt with the instruction of the reply, or the question's
/// rewrite. A mutation prompt is inherited where the reply has none.
///
/// # Errors
/// Where the reply holds no instruction or no rewrite, or the draft asked nothing.
pub fn read(draft: &Draft, reply: &str, pool: &Pool) -> Result<PromptDoc, Refused> {
    let operator = draft.operator.name();
    let parent = draft.parents.first().and_then(|&p| pool.members.get(p));
    let (Write::Ask(_), Some(parent)) = (&draft.write, parent) else {
        return Err(Refused::NotAsked { operator });
    };
    let (mutation, reply) = match draft.operator {
        Operator::HyperZero | Operator::HyperFirst => mutation(reply),
        _ => (None, reply.to_owned()),
    };
    let doc = match &pool.task.subject {
        Subject::Instruction => PromptDoc {
            instruction: Some(instruction(draft, &reply, parent.words(), pool)?),
            ..parent.doc.clone()
        },
        Subject::Question { original, .. } => {
            let text = rewrite(draft, &reply, original, pool)?;
            guard::of_rewrite(&text, original, pool)?;
            PromptDoc::rewrite(text)
        }
    };
    Ok(PromptDoc {
        mutation: mutation.or_else(|| draft.mutation.clone()),
        ..doc
    })
}

fn instruction(draft: &Draft, reply: &str, current: &str, pool: &Pool) -> Result<String, Refused> {
    let limits = Limits {
        min_chars: MIN_CHARS,
        max_chars: pool.task.max_chars,
    };
    let found = match draft.operator {
        Operator::Rewriter => proposal::read_bare(reply, current, &limits),
        _ => proposal::read_instruction(reply, current, &limits),
    };
    found
        .map(|text| tags::restored(&text, current))
        .map_err(|why| refused(draft, why))
}

/// As every rewrite is read: it keeps the question's material.
fn rewrite(draft: &Draft, reply: &str, original: &str, pool: &Pool) -> Result<String, Refused> {
    let limits = Limits::of(original, pool.task.max_chars);
    let found = match draft.operator {
        Operator::Rewriter => proposal::read_bare(reply, original, &limits),
        _ => proposal::read(reply, original, &limits),
    };
    found
        .map(|text| tags::restored(&text, original))
        .map_err(|why| refused(draft, why))
}

fn refused(draft: &Draft, why: Refusal) -> Refused {
    Refused::Reply {
        operator: draft.operator.name(),
        why,
    }
}

/// The last mutation prompt of a reply, where it is a usable one, and the reply without any.
fn mutation(reply: &str) -> (Option<String>, String) {
    #[allow(clippy::unwrap_used, reason = "a constant, read by every test")]
    static TAGS: LazyLock<Regex> = LazyLock::new(|| {
        // Up to its end, or to where the instruction begins.
        Regex::new(r"(?is)<\s*mutation\b[^<>]*>(.*?)(?:</\s*mutation\s*>|(<\s*prompt\b)|\z)")
            .unwrap()
    });
    let found = TAGS.captures_iter(reply).last().map(|c| c[1].to_owned());
    let rest = TAGS.replace_all(reply, "$2").into_owned();
    (found.and_then(|m| usable(&m)), rest)
}

/// One line without what surrounds it; `None` for what is no sentence, or holds tags or control tokens.
fn usable(mutation: &str) -> Option<String> {
    let line = mutation.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_matches(|c| matches!(c, '"' | '“' | '”' | '*' | '`' | ' '));
    let words = fold(line).split(' ').count();
    let is_one = words >= 3
        && line.chars().count() <= MUTATION_CHARS
        && !line.chars().any(char::is_control)
        && tags::first(line).is_none();
    is_one.then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::proposal::read_instruction;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        min_chars: MIN_CHARS,
        max_chars: 200,
    };

    /// What a rewritten question loses, an instruction may keep: steps, headings, other numbers.
    #[test]
    fn an_instruction_may_be_a_list_and_owes_nothing() {
        let steps = "1. Read the note.\n2. Name the bird.\nAnswer: one word.";
        let tagged = format!("<prompt>{steps}</prompt>");
        let current = "Name 3 birds in \"the note\".";
        let reads = |reply: &str| read_instruction(reply, current, &LIMITS);
        assert_eq!(reads(&tagged), Ok(steps.to_owned()));
        let rewrite = proposal::read(&tagged, current, &LIMITS);
        assert!(rewrite != Ok(steps.to_owned()));
        // Nothing ends it: the first of several.
        assert_eq!(reads(steps), Ok("Read the note.".to_owned()));
        // Neither the 3 nor the quotation.
        assert_eq!(reads("Which bird?"), Ok("Which bird?".to_owned()));
        assert_eq!(reads("name 3 birds in the note"), Err(Refusal::Unchanged));
        assert_eq!(reads(&"word ".repeat(50)), Err(Refusal::TooLong));
    }

    proptest! {
        #[test]
        fn reading_an_instruction_is_stable(reply in r"(</?prompt>|1\. |- |Answer: |\n\n?|Sure! |word |[a-z]{1,6} ){0,14}") {
            if let Ok(text) = read_instruction(&reply, "Name the bird.", &LIMITS) {
                let again = read_instruction(&format!("<prompt>{text}</prompt>"), "Name the bird.", &LIMITS);
                prop_assert_eq!(again, Ok(text));
            }
        }
    }

    #[test]
    fn a_mutation_prompt_is_found_or_there_is_none() {
        let of = |reply| mutation(reply);
        assert_eq!(
            of("<mutation>\n\"Ask for  one word.\"\n</mutation>\n<prompt>x</prompt>"),
            (
                Some("Ask for one word.".to_owned()),
                "\n<prompt>x</prompt>".to_owned()
            )
        );
        // It does not end, and the instruction is not part of it.
        assert_eq!(
            of("<Mutation>Ask for one word. <prompt>x</prompt>"),
            (
                Some("Ask for one word.".to_owned()),
                "<prompt>x</prompt>".to_owned()
            )
        );
        assert_eq!(of("<prompt>x</prompt>").0, None);
        assert_eq!(of("<mutation>no</mutation>").0, None);
        assert_eq!(of("<mutation>say <|im_end|> to all</mutation>").0, None);
        assert_eq!(of("<mutation>say </task> to all</mutation>").0, None);
        let long = format!("<mutation>{}</mutation>", "word ".repeat(99));
        assert_eq!(of(&long).0, None);
    }
}
