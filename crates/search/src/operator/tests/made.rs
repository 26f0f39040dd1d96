//! What operators make without a proposer.

use super::{super::*, pool, with_shots};
use std::collections::BTreeSet;

fn doc(draft: &Draft) -> &PromptDoc {
    match &draft.write {
        Write::Made(doc) => doc,
        Write::Ask(_) => panic!("{} asks", draft.operator.name()),
    }
}

fn instruction(draft: &Draft) -> &str {
    doc(draft).instruction.as_deref().unwrap_or_default()
}

#[test]
fn every_second_set_of_demonstrations_is_even() {
    let mut pool = pool();
    pool.task.max_shots = 2;
    let (mut sizes, mut even, mut pairs) = (BTreeSet::new(), 0, 0);
    for seed in 0..200 {
        let draft = draft(Operator::Shots, &pool, 0, seed).unwrap();
        let shots = &doc(&draft).shots;
        sizes.insert(shots.len());
        let labels: BTreeSet<&str> = shots.iter().map(|s| s.output.as_str()).collect();
        pairs += usize::from(shots.len() == 2);
        even += usize::from(labels.len() == 2);
    }
    assert_eq!(sizes, BTreeSet::from([1, 2]));
    // A half by intention, and about half of the others by chance.
    assert!((60..90).contains(&(100 * even / pairs)), "{even} {pairs}");
}

#[test]
fn what_was_wrong_is_shown_last_with_its_right_answer() {
    let mut pool = with_shots();
    let wrong: BTreeSet<domain::hash::Hash> = pool.members[1]
        .trials
        .iter()
        .filter(|t| t.value < 1.0)
        .map(|t| pool.examples[t.example].id)
        .collect();
    let own = pool.members[1].doc.shots.clone();
    for most in [own.len(), own.len() + 1] {
        pool.task.max_shots = most;
        for seed in 0..20 {
            let draft = draft(Operator::Corrected, &pool, 1, seed).unwrap();
            let shots = &doc(&draft).shots;
            let last = shots.last().unwrap();
            let known = pool.examples.iter().find(|k| k.id == last.example).unwrap();
            assert!(wrong.contains(&last.example) && known.answer.as_deref() == Some(&last.output));
            assert_eq!(shots.len(), most);
            assert!(shots[..most - 1].iter().all(|s| own.contains(s)));
        }
    }
    assert_eq!(draft(Operator::Corrected, &pool, 0, 1), None);
}

#[test]
fn a_set_of_demonstrations_is_new_each_time() {
    let pool = with_shots();
    let own = &pool.members[1].doc.shots;
    let mut sizes = BTreeSet::new();
    for parent in [0, 1] {
        for seed in 0..80 {
            let draft = draft(Operator::Shots, &pool, parent, seed).unwrap();
            let shots = &doc(&draft).shots;
            let shown: BTreeSet<_> = shots.iter().map(|s| s.example).collect();
            assert!(shown.len() == shots.len() && shots != own);
            sizes.insert(shots.len());
        }
    }
    assert_eq!(sizes, BTreeSet::from([1, 2, 3, 4]));
}

#[test]
fn bootstrapped_demonstrations_say_what_the_model_said() {
    let mut pool = pool();
    let trial = &mut pool.members[1].trials[2];
    trial.said = Some("  It is positive, I think. ".to_owned());
    let said: BTreeSet<String> = (0..40)
        .filter_map(|seed| draft(Operator::Bootstrapped, &pool, 1, seed))
        .flat_map(|d| doc(&d).shots.clone())
        .map(|s| s.output)
        .collect();
    assert!(said.contains("It is positive, I think."), "{said:?}");
    assert!(!said.contains("Hard to say."));
}

#[test]
fn a_closing_sentence_is_replaced_by_the_next() {
    let mut pool = pool();
    for labels in [pool.task.labels.clone(), Vec::new()] {
        pool.task.labels = labels;
        for seed in 0..30 {
            let draft = draft(Operator::AnswerForm, &pool, 0, seed).unwrap();
            let text = instruction(&draft).to_owned();
            let closing = text.strip_prefix("How is the film?").unwrap();
            assert!(closing.starts_with(' ') && closing.ends_with('.'), "{text}");
            assert_ne!(pool.members[0].words(), text);
            pool.members[0].doc.instruction = Some(text);
        }
        pool.members[0].doc.instruction = Some("How is the film?".to_owned());
    }
}

#[test]
fn a_frame_keeps_what_has_to_be_kept() {
    let mut pool = pool();
    pool.task.must_keep = vec!["Possible answers".to_owned()];
    let texts: BTreeSet<String> = (0..20)
        .map(|seed| instruction(&draft(Operator::Frame, &pool, 0, seed).unwrap()).to_owned())
        .collect();
    assert_eq!(
        texts.into_iter().collect::<Vec<_>>(),
        [
            "Say whether a film review is positive or negative.\nPossible answers: positive or negative."
        ]
    );
}

#[test]
fn a_crossover_names_the_owner_of_the_instruction_first() {
    let pool = with_shots();
    for (parent, expected) in [(3, vec![3, 1]), (1, vec![])] {
        for seed in 0..20 {
            let Some(draft) = draft(Operator::Crossover, &pool, parent, seed) else {
                continue;
            };
            assert_eq!(instruction(&draft), pool.members[draft.parents[0]].words());
            assert!(!doc(&draft).shots.is_empty());
            assert!(expected.is_empty() || draft.parents == expected);
            // Member 1 is the only one with demonstrations: the other gives the instruction.
            assert_eq!(draft.parents[1], 1);
        }
    }
}
