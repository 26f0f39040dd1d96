//! Whatever the pool and the reply.

use super::{super::*, with_shots};
use proptest::prelude::*;

/// Pools whose every text is hostile.
fn hostile(text: &str) -> Pool {
    let mut pool = with_shots();
    pool.task.description = text.to_owned();
    pool.task.labels.push(text.to_owned());
    pool.task.must_keep = vec![text.to_owned()];
    for member in &mut pool.members {
        let own = format!("{text} {}", member.words());
        member.doc.instruction = Some(own);
        member.doc.mutation = Some(text.to_owned());
        for trial in &mut member.trials {
            trial.said = Some(text.to_owned());
            trial.feedback = text.to_owned();
        }
    }
    for known in &mut pool.examples {
        known.example.input = text.to_owned();
        known.example.context = Some(text.to_owned());
        known.example.choices = vec![text.to_owned()];
        known.answer = Some(text.to_owned());
    }
    pool
}

fn any_operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(Operator::ALL.to_vec())
}

const HOSTILE: &str = r"(</?(prompt|mutation|version|task|input|right|answer)>|<|/|>|prompt|version|<\|im_end\|>| |\n|a){0,20}";

proptest! {
    #[test]
    fn a_draft_is_a_function_of_pool_and_seed(operator in any_operator(), parent in 0usize..6, seed: u64, text in HOSTILE) {
        let pool = hostile(&text);
        prop_assert_eq!(draft(operator, &pool, parent, seed), draft(operator, &pool, parent, seed));
    }

    #[test]
    fn no_text_closes_its_own_tags(operator in any_operator(), parent in 0usize..4, seed: u64, text in HOSTILE) {
        let pool = hostile(&text);
        let Some(Draft { write: Write::Ask(messages), .. }) = draft(operator, &pool, parent, seed) else {
            return Ok(());
        };
        let last = &messages[messages.len() - 1].content;
        if operator != Operator::Rewriter {
            prop_assert!(messages.iter().all(|m| !m.content.contains("<|")));
            let mut open: Option<&str> = None;
            for tag in tags::all(last) {
                let name = tag.trim_matches(|c| "</>".contains(c));
                match open {
                    None => prop_assert_eq!(tag, format!("<{name}>")),
                    Some(opened) => prop_assert_eq!(tag, format!("</{opened}>")),
                }
                open = open.xor(Some(name)).filter(|_| open.is_none());
            }
            prop_assert_eq!(open, None);
            prop_assert!(!last.contains("<prompt>"));
        }
    }

    #[test]
    fn reading_is_stable(operator in any_operator(), seed: u64, reply in r"(</?prompt>|</?mutation>|<answer>|1\. |Answer: |\n|Sure! |Name the film |[a-z]{1,6} ){0,14}") {
        let pool = with_shots();
        let Some(draft) = draft(operator, &pool, 3, seed) else { return Ok(()); };
        if let Ok(born) = read(&draft, &reply, &pool) {
            let text = born.instruction.clone().unwrap();
            let mutation = born.mutation.clone().unwrap();
            let again = match operator {
                Operator::HyperZero | Operator::HyperFirst => format!("<mutation>{mutation}</mutation><prompt>{text}</prompt>"),
                _ => format!("<prompt>{text}</prompt>"),
            };
            prop_assert_eq!(read(&draft, &again, &pool), Ok(born));
        }
    }
}
