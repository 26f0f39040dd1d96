use super::*;
use crate::pool::{Known, Member, Task, Trial};
use domain::example::{Example, Reference};
use std::collections::BTreeSet;

mod made;
mod properties;
mod reading;

/// A task with two labels: example `i` is positive where `i` is even. Nobody got example 1 right, everybody example 0.
pub fn pool() -> Pool {
    let label = |i: usize| ["positive", "negative"][i % 2];
    let known = |i: usize| {
        let example = Example {
            input: format!("{} number {i}.", ["A fine film", "A dull film"][i % 2]),
            context: None,
            choices: Vec::new(),
            reference: Reference::Text {
                text: label(i).to_owned(),
            },
            group: None,
        };
        Known {
            id: example.id(),
            example,
            answer: Some(label(i).to_owned()),
        }
    };
    let member = |text: &str, parents: &[usize], values: &[f64]| Member {
        doc: PromptDoc {
            instruction: Some(text.to_owned()),
            ..PromptDoc::default()
        },
        parents: parents.to_vec(),
        operator: (!parents.is_empty()).then(|| "first_order".to_owned()),
        round: parents.len() as u32,
        trials: values
            .iter()
            .enumerate()
            .map(|(i, &value)| Trial {
                example: i,
                value,
                said: Some(
                    if value > 0.5 {
                        label(i)
                    } else {
                        "Hard to say."
                    }
                    .to_owned(),
                ),
                feedback: if value > 0.5 {
                    "right"
                } else {
                    "no label is named"
                }
                .to_owned(),
            })
            .collect(),
    };
    Pool {
        task: Task {
            description: "Say whether a film review is positive or negative.".to_owned(),
            labels: vec!["positive".to_owned(), "negative".to_owned()],
            max_chars: 300,
            max_shots: 4,
            show_references: true,
            ..Task::default()
        },
        examples: (0..12).map(known).collect(),
        members: vec![
            member("How is the film?", &[], &[1.0, 0.0, 1.0, 0.0]),
            member(
                "Does the reviewer like the film? Say positive or negative.",
                &[0],
                &[1.0, 0.0, 1.0, 1.0],
            ),
            member("Film: good, bad?", &[0], &[1.0, 0.0, 0.0, 0.0]),
            member(
                "Decide whether the writer would see the film again; write positive or negative.",
                &[1],
                &[1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
            ),
        ],
        refused: Vec::new(),
    }
}

/// The pool with demonstrations under member 1.
pub fn with_shots() -> Pool {
    let mut pool = pool();
    let shots = [8, 9, 10]
        .map(|i: usize| pool.examples[i].shot(["positive", "negative"][i % 2].to_owned()));
    pool.members[1].doc.shots = shots.to_vec();
    pool
}

/// What a draft says, to be read.
pub fn shown(draft: &Draft) -> String {
    match &draft.write {
        Write::Ask(messages) => {
            let lines = messages
                .iter()
                .map(|m| format!("[{:?}] {}", m.role, m.content));
            lines.collect::<Vec<_>>().join("\n")
        }
        Write::Made(doc) => serde_json::to_string_pretty(doc).unwrap(),
    }
}

#[test]
fn names_are_the_words_of_serde() {
    for operator in Operator::ALL {
        let word = serde_json::to_string(&operator).unwrap();
        assert_eq!(word, format!("{:?}", operator.name()));
        assert_eq!(Operator::from_name(operator.name()), Some(operator));
    }
    assert_eq!(Operator::from_name("none"), None);
    let names: BTreeSet<Operator> = Operator::ALL.into_iter().collect();
    assert_eq!(names.len(), Operator::ALL.len());
}

#[test]
fn every_operator_does_what_it_says_and_the_seed_matters() {
    let pool = with_shots();
    for operator in Operator::ALL.into_iter().filter(Operator::instructs) {
        // What is corrected has demonstrations.
        let parent = match operator {
            Operator::Corrected => 1,
            _ => 3,
        };
        let of = |seed| draft(operator, &pool, parent, seed);
        let drafts: Vec<Draft> = (0..30).filter_map(of).collect();
        assert!(!drafts.is_empty(), "{}", operator.name());
        for draft in &drafts {
            assert_eq!(
                matches!(draft.write, Write::Ask(_)),
                operator.asks(),
                "{}",
                operator.name()
            );
            assert!(draft.parents.iter().all(|p| *p < pool.members.len()));
            assert!(draft.mutation.as_deref().is_some_and(|m| !m.is_empty()));
        }
        let different: BTreeSet<String> = drafts.iter().map(shown).collect();
        // The bare instruction is all that a rewriter is asked, and that member was wrong once.
        let few = matches!(operator, Operator::Rewriter | Operator::Corrected);
        let varies = different.len() > 3 || few;
        assert!(varies, "{}: {}", operator.name(), different.len());
    }
}

#[test]
fn an_empty_pool_has_nothing_to_draft_from() {
    for operator in Operator::ALL {
        assert_eq!(draft(operator, &Pool::default(), 0, 1), None);
        let bare = Pool {
            members: vec![Member::default()],
            ..Pool::default()
        };
        assert_eq!(draft(operator, &bare, 0, 1), None, "{}", operator.name());
    }
}

/// Each operator, and a pool that lacks what it needs.
#[test]
fn what_a_pool_lacks_is_not_made_up() {
    let lacks = |operator, change: fn(&mut Pool)| {
        let mut pool = with_shots();
        change(&mut pool);
        for seed in 0..20 {
            assert_eq!(draft(operator, &pool, 3, seed), None, "{}", operator.name());
        }
    };
    let no_trials = |pool: &mut Pool| pool.members.iter_mut().for_each(|m| m.trials.clear());
    let all_right = |pool: &mut Pool| {
        let trials = pool.members.iter_mut().flat_map(|m| &mut m.trials);
        trials.for_each(|t| t.value = 1.0);
    };
    let all_wrong = |pool: &mut Pool| {
        let trials = pool.members.iter_mut().flat_map(|m| &mut m.trials);
        trials.for_each(|t| t.value = 0.0);
    };
    let alike = |pool: &mut Pool| {
        let doc = pool.members[3].doc.clone();
        pool.members.iter_mut().for_each(|m| m.doc = doc.clone());
    };
    let no_shots = |pool: &mut Pool| pool.task.max_shots = 0;
    let nothing_said = |pool: &mut Pool| pool.task.description = "  ".to_owned();
    lacks(Operator::Trajectory, no_trials);
    lacks(Operator::EdaRank, no_trials);
    lacks(Operator::De, no_trials);
    lacks(Operator::Reflect, no_trials);
    lacks(Operator::Reflect, all_right);
    lacks(Operator::Corrected, all_right);
    lacks(Operator::Lamarckian, all_wrong);
    lacks(Operator::Bootstrapped, all_wrong);
    for operator in [
        Operator::Eda,
        Operator::EdaRank,
        Operator::Lineage,
        Operator::Ga,
        Operator::De,
        Operator::Crossover,
    ] {
        lacks(operator, alike);
    }
    lacks(Operator::Lineage, |pool| pool.members[3].parents.clear());
    for operator in [
        Operator::Shots,
        Operator::Bootstrapped,
        Operator::Corrected,
        Operator::Crossover,
    ] {
        lacks(operator, no_shots);
    }
    lacks(Operator::Shots, |pool| {
        pool.examples.iter_mut().for_each(|k| k.answer = None);
    });
    lacks(Operator::Crossover, |pool| {
        pool.members[1].doc.shots.clear()
    });
    for operator in [Operator::ZeroOrder, Operator::HyperZero, Operator::Frame] {
        lacks(operator, nothing_said);
    }
    lacks(Operator::AnswerForm, |pool| pool.task.max_chars = 20);
}

#[test]
fn references_are_shown_only_where_they_may_be() {
    let mut pool = pool();
    for operator in [Operator::Trajectory, Operator::Reflect] {
        pool.task.show_references = true;
        assert!(shown(&draft(operator, &pool, 3, 5).unwrap()).contains("<right>"));
        pool.task.show_references = false;
        assert!(!shown(&draft(operator, &pool, 3, 5).unwrap()).contains("<right>"));
    }
}

#[test]
fn near_copies_are_no_list() {
    let mut pool = pool();
    let mut copy = pool.members[3].clone();
    copy.doc.instruction = copy.doc.instruction.map(|i| i.to_uppercase());
    copy.trials.clear();
    pool.members.push(copy);
    for seed in 0..10 {
        let eda = shown(&draft(Operator::Eda, &pool, 3, seed).unwrap());
        assert_eq!(eda.matches("see the film again").count(), 1);
        assert!(!eda.contains("SEE THE FILM"));
    }
}
